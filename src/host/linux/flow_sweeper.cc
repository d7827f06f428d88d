#include "host/linux/flow_sweeper.h"

#include <chrono>

namespace penstock::host {

FlowSweeper::FlowSweeper(Runtime& runtime, Log& log, Switch& programs)
    : runtime_(runtime), log_(log), switch_(programs), self_(std::make_shared<FlowSweeper*>(this)) {
  arm();
}

FlowSweeper::~FlowSweeper() {
  if (timer_) runtime_.cancel(*timer_);
  if (thread_.joinable()) thread_.join();
}

void FlowSweeper::arm() {
  timer_ = runtime_.after(std::chrono::milliseconds(runtime_.tunables().flow_sweep_ms), [this] {
    timer_.reset();
    sweep();
  });
}

void FlowSweeper::sweep() {
  thread_ = std::thread([this, still_there = std::weak_ptr(self_)] {
    // The destructor joins this thread, so `this` is alive here; it may be gone when the task runs.
    auto swept = switch_.sweep();
    runtime_.post_from_any_thread([still_there, swept = std::move(swept)] {
      if (const auto self = still_there.lock()) (*self)->finished(swept);
    });
  });
}

void FlowSweeper::finished(const Result<ps_sweep>& swept) {
  thread_.join();
  if (swept) {
    entries_ = swept->looked_at - swept->deleted;
  } else if (!failed_before_) {
    log_.warning("expired flows are not deleted: {}", swept.error().text());
  }
  failed_before_ = !swept;
  arm();
}

}  // namespace penstock::host
