// Counts of rules and ports, when the server asks: orders in, reports out.
//
// Threading: the strand's. An order is answered once, later; the flow table is walked elsewhere.
#pragma once

#include <functional>
#include <memory>

#include "base/runtime.h"
#include "host/intent.h"
#include "host/kernel.h"
#include "host/reconciler.h"

namespace penstock::host {

class Counters {
 public:
  using Send = std::function<void(const v1::CountersReport&)>;
  // All of them must outlive it.
  Counters(Runtime&, Kernel&, const Intent&, const Reconciler&, Send);
  Counters(const Counters&) = delete;

  // Rules of the order's policies as its ports count them, without ports as all do; and its ports.
  // What this host does not have is not in the report.
  void take(const v1::CountersOrder&);

 private:
  struct Question;
  void answer(const Question&, const Counts&);
  void name_rules(const Question&, const Counts&, v1::CountersReport&) const;

  Runtime& runtime_;
  Kernel& kernel_;
  const Intent& intent_;
  const Reconciler& reconciler_;
  Send send_;
  std::shared_ptr<Counters*> self_;  // what a callback asks whether we are still there
};

}  // namespace penstock::host
