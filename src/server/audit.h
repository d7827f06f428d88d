// Who did what: every request that changes something, was to change something or was not allowed
// becomes an AuditRecord. Records are durable before the request is answered; the newest are kept
// in the journal, where they are listed and watched.
//
// A change is written down beside its commit, not after it: two syncs at a time take hardly longer
// than one. So the log may tell of a change that a crash kept from happening, never the other way
// round; one that turned out otherwise has a second record.
//
// When the log cannot be written (disk full), what was committed already is answered with a
// warning and its records are kept and tried again; until they are in, nothing new is changed:
// `accepts` says why. Reading goes on.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/runtime.h"
#include "server/audit_log.h"
#include "server/journal.h"

namespace penstock {

// Who asks: the bearer token, and the address it came from (empty: not known).
struct Caller {
  std::string secret;
  std::string client;
  Caller(std::string secret_, std::string client_ = {})
      : secret(std::move(secret_)), client(std::move(client_)) {}
  Caller(const char* secret_) : secret(secret_) {}
};

class Audit {
 public:
  Audit(Runtime&, Log&, Journal&, AuditLog&);

  // Takes what the log holds of earlier lives into the journal. Blocks; before anything is added.
  Status start();

  // Stamps and names it. It goes to the log with all that is added in this turn of the strand.
  void add(v1::AuditRecord);
  // Runs once what was added so far is durable, at once when it is; the status: or that it is not,
  // and why.
  void when_written(AuditLog::Done);
  // kUnavailable: the log cannot be written, so nothing may be changed.
  Status accepts() const;

  // A token that is good for nobody, or not for this. Who only tries must not fill the log: of each
  // client and second one is recorded, and how many there were.
  void login_refused(std::string_view user, const v1::Reference& object, std::string_view client,
                     const Error&);

  struct Counts {
    std::int64_t records = 0, failures = 0, lost = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Turn {  // what goes to the log together
    std::vector<AuditRecordPtr> records;
    std::vector<AuditLog::Done> waiting;
  };
  struct Refused {
    v1::AuditRecord record;
    std::int64_t more = 0;  // since it was recorded
  };

  void flush();
  void written(Turn, Status);
  void try_again();
  void refusals_over();

  Runtime& runtime_;
  Log& log_;
  Journal& journal_;
  AuditLog& audit_log_;
  Turn turn_;
  bool flush_planned_ = false;
  int in_flight_ = 0;                // turns on their way to the log
  std::deque<AuditRecordPtr> owed_;  // could not be written yet
  Status state_;
  std::int64_t lost_now_ = 0;
  std::map<std::string, Refused> refusals_;  // by user and client
  bool refusals_planned_ = false;
  Counts counts_;
};

// Field paths of spec and labels that differ, in JSON's spelling, at most 20; never values.
void set_changed(v1::AuditRecord&, const google::protobuf::Message& before,
                 const google::protobuf::Message& after);
// Outcome, code and message of an error.
void set_error(v1::AuditRecord&, const Error&);

}  // namespace penstock
