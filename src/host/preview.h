// What a change would do to the flows that are under way on this host: an order names items as they
// would be, the live entries of the ports concerned are judged by them natively, a report says how
// many would be cut. Nothing is changed.
//
// A flow is live while its entry has not expired, is not a closed TCP connection and would be
// allowed by what the port has now. It is judged again when the switch would do so: when its
// direction of the port gets other steps, or a group that they name other members. A port that
// goes takes its flows with it: all are cut. A port that gets its first service has no entries.
//
// Cost. The flow table is walked once an order, a part a turn of the strand; policies that are not
// in the switch yet are compiled one a turn. One order at a time, the others wait.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "base/runtime.h"
#include "host/intent.h"
#include "host/reconciler.h"

namespace penstock::host {

class Preview {
 public:
  using Send = std::function<void(const v1::PreviewReport&)>;

  // All of them must outlive it.
  Preview(Runtime&, Kernel&, const Intent&, const Reconciler&, Send);
  ~Preview();

  // Answered by one report of the same id.
  void take(const v1::PreviewOrder&);

 private:
  struct Run;
  using RunPtr = std::shared_ptr<Run>;

  void next();
  void turn();
  Status prepare(Run&);
  Status compile_one(Run&);
  Status settle(Run&);
  Status walk(Run&);
  Status look_at(Run&, const Bytes& key, const Bytes& value);
  void answer(Run&, const Status&);

  Runtime& runtime_;
  Kernel& kernel_;
  const Intent& intent_;
  const Reconciler& reconciler_;
  Send send_;
  std::deque<v1::PreviewOrder> waiting_;
  RunPtr run_;
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);  // false: gone, for posted tasks
};

}  // namespace penstock::host
