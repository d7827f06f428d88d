// The people and programs that call the API over a network that loses requests and answers. They
// never give up early: without an answer the same request goes out again, with the same id.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sim/operations.h"
#include "sim/server_node.h"

namespace penstock::sim {

class Clients {
 public:
  struct Hooks {
    // An operation ended with `wait_applied` fulfilled at this revision.
    std::function<void(const Operation&, std::int64_t revision)> applied;
  };
  Clients(SimClock&, Trace&, Verdict&, History&, ServerNode&, Hooks);

  // Begins the operation; it goes on by itself. With `result` set, its end is told.
  void begin(Operation, std::function<void(const Result<Answer>&)> result = nullptr);
  std::size_t under_way() const { return under_way_.size(); }
  std::string first_under_way() const;
  // Everything acknowledged must still be there, or have been changed by somebody later.
  void check_nothing_lost() const;

  std::map<std::string, std::string> secrets;  // by user
  double loss = 0;                             // of a request or an answer
  int succeeded = 0, refused = 0, gave_up = 0;

 private:
  struct Call {
    Operation operation;
    std::function<void(const Result<Answer>&)> result;
    int attempts = 0;
  };
  void attempt(int number);
  void again(int number, Duration);
  void answered(int number, Result<Answer>);
  void judge(const Operation&, const Result<Answer>&);
  void end(int number, const Result<Answer>&);
  Duration delay();

  SimClock& clock_;
  Trace& trace_;
  Verdict& verdict_;
  History& history_;
  ServerNode& server_;
  Hooks hooks_;
  std::map<int, Call> under_way_;
  struct Acknowledged {
    std::int64_t revision = 0;
    std::string spec;  // serialized; nothing: deleted
    bool deleted = false;
  };
  std::map<ObjectKey, Acknowledged> acknowledged_;  // newest by key
};

}  // namespace penstock::sim
