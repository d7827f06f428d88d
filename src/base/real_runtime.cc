#include "base/real_runtime.h"

#include <sys/random.h>

#include <unordered_map>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/ensure.h"

namespace penstock {

namespace asio = boost::asio;

struct RealRuntime::Impl {
  explicit Impl(Tunables t) : tunables(t) {}

  Tunables tunables;
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::unordered_map<std::uint64_t, asio::steady_timer> timers;
  std::uint64_t next_timer = 1;
};

RealRuntime::RealRuntime(Tunables tunables) : impl_(std::make_unique<Impl>(tunables)) {}
RealRuntime::~RealRuntime() = default;

void RealRuntime::run() {
  impl_->io.run();
  // Here and not before the run: a stop() that comes before it must not be lost.
  impl_->io.restart();
}
void RealRuntime::stop() {
  impl_->io.stop();
}
asio::io_context& RealRuntime::io() {
  return impl_->io;
}

void RealRuntime::post(Task task) {
  asio::post(impl_->io, std::move(task));
}
void RealRuntime::post_from_any_thread(Task task) {
  asio::post(impl_->io, std::move(task));
}

TimerId RealRuntime::after(Duration delay, Task task) {
  const auto id = impl_->next_timer++;
  auto& timer = impl_->timers.try_emplace(id, impl_->io, delay).first->second;
  timer.async_wait([this, id, task = std::move(task)](boost::system::error_code error) mutable {
    // A timer that expired just before cancel() completes without an error: the table decides.
    if (impl_->timers.erase(id) == 0 || error) return;
    task();
  });
  return TimerId{id};
}

void RealRuntime::cancel(TimerId id) {
  impl_->timers.erase(static_cast<std::uint64_t>(id));
}

MonoTime RealRuntime::now() const {
  return {std::chrono::steady_clock::now().time_since_epoch()};
}

WallTime RealRuntime::wall() const {
  return {std::chrono::system_clock::now().time_since_epoch()};
}

std::uint64_t RealRuntime::random() {
  std::uint64_t bits = 0;
  ensure(getrandom(&bits, sizeof bits, 0) == sizeof bits, "the kernel gives random bits");
  return bits;
}

const Tunables& RealRuntime::tunables() const {
  return impl_->tunables;
}

}  // namespace penstock
