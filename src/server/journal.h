// What happened lately, in memory only: events of objects, the flows that rules log, and the
// newest of the audit log. All are kinds of objects that are listed and watched like any other, and
// are never in a snapshot.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/runtime.h"
#include "model/snapshot.h"
#include "penstock/v1/host.pb.h"

namespace penstock {

// The newest objects of one kind. When there are too many, the oldest of the tenant that has most
// goes: nobody can push out what others are to see.
class Recent {
 public:
  // Names are `letter` and a number; `most`: how many are kept.
  // `dress`: puts into an object that is read what follows from the rest of it, labels say, so that
  // it takes no room.
  Recent(Runtime& runtime, const Kind& kind, char letter, std::int64_t Tunables::*most,
         void (*dress)(Message&) = nullptr)
      : runtime_(runtime), kind_(kind), letter_(letter), most_(most), dress_(dress) {}

  // Names it, keeps it, tells who follows. `tenant`: on whose account.
  MessagePtr add(std::unique_ptr<Message>, const std::string& tenant);
  // One that has its name from an earlier life of the server: nobody is told. Names go on after it.
  void add_again(const Message&, const std::string& tenant);

  using Visit = std::function<bool(const MessagePtr&)>;           // false: stop
  void each(const Visit& visit) const { each_after({}, visit); }  // oldest first
  // From the first object after the one of that name, whether it is there or not.
  void each_after(std::string_view name, const Visit&) const;
  MessagePtr find(std::string_view name) const;  // nullptr: gone, or never was
  std::size_t size() const { return objects_.size(); }

  std::function<void(const MessagePtr&)> on_added;

 private:
  std::uint64_t number_of(std::string_view name) const;
  void keep(std::uint64_t number, const Message&, const std::string& tenant);
  MessagePtr object(const std::string& bytes) const;
  void forget_one();

  Runtime& runtime_;
  const Kind& kind_;
  char letter_;
  std::int64_t Tunables::*most_;
  void (*dress_)(Message&);
  // By number. Serialized: a message of its own takes seven times the room.
  std::map<std::uint64_t, std::string> objects_;
  std::map<std::string, std::deque<std::uint64_t>, std::less<>> of_tenant_;
  std::set<std::pair<std::size_t, std::string>> by_size_;  // how many, whose
  std::uint64_t next_ = 1;
};

class Journal {
 public:
  explicit Journal(Runtime& runtime);

  void event(v1::Event::Type type, std::string_view reason, const ObjectKey& about,
             std::string message, std::string_view actor, std::int64_t revision);
  // What a host logged, with the names of this snapshot. Records of ports it does not know are
  // dropped.
  void flows(const Snapshot&, const std::string& host, const v1::FlowLog&);

  // On the account of its user: whoever makes many records pushes out his own.
  std::shared_ptr<const v1::AuditRecord> audit(std::unique_ptr<v1::AuditRecord>);
  void audit_again(std::unique_ptr<v1::AuditRecord>);

  // nullptr: the kind is none of the journal's.
  const Recent* of(const Kind&) const;
  // The tenant that an entry is about; empty: none.
  static std::string_view tenant_of(const Message&);

  // Of every kind.
  void on_added(std::function<void(const MessagePtr&)>);

 private:
  Runtime& runtime_;
  Recent events_, flows_, audit_;
};

}  // namespace penstock
