// The runtime of real programs: one thread runs the strand over epoll; time is CLOCK_MONOTONIC.
#pragma once

#include <memory>

#include "base/runtime.h"

namespace boost::asio {
class io_context;
}

namespace penstock {

class RealRuntime final : public Runtime {
 public:
  explicit RealRuntime(Tunables);
  ~RealRuntime() override;

  // Runs the strand on the calling thread until stop(); what is left waits for the next run().
  void run();
  // May be called from any thread and from a signal handler's task. Ends the run() that is going
  // on, or the next one.
  void stop();
  // For adapters (HTTP, netlink notifications) whose sockets wait on the strand's own loop.
  boost::asio::io_context& io();

  void post(Task) override;
  void post_from_any_thread(Task) override;
  TimerId after(Duration, Task) override;
  void cancel(TimerId) override;
  MonoTime now() const override;
  WallTime wall() const override;
  std::uint64_t random() override;
  const Tunables& tunables() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
