// Reads the switch's counts on a thread of its own: what live flows have carried is added to their
// rules first, for which the whole flow table is walked.
//
// Threading: the strand's, answers included.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "base/runtime.h"
#include "host/switch/switch.h"

namespace penstock::host {

class CountReader {
 public:
  using Done = std::function<void(Result<Counts>)>;

  // Both must outlive it.
  CountReader(Runtime&, Switch&);
  // Waits for a question under way; those that are open are never answered.
  ~CountReader();
  CountReader(const CountReader&) = delete;

  void ask(CountsWanted, Done);

 private:
  struct Question {
    CountsWanted wanted;
    Done done;
  };
  void begin();
  void finished(Result<Counts>);

  Runtime& runtime_;
  Switch& switch_;
  std::deque<Question> questions_;  // the first is under way
  std::thread thread_;
  std::shared_ptr<CountReader*> self_;  // what the thread posts asks whether we are still there
};

}  // namespace penstock::host
