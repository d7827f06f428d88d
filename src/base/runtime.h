// Everything a program may not take from the air: where code runs, what time it is, what dice say, what the
// limits are. Handed down by reference from main(), never global, so that the whole control plane runs under
// simulated time from a seed.
//
// Threading: one strand a program. Tasks run one after the other, never at once; logic never locks and never
// blocks. `post_from_any_thread` is the only member that other threads (adapters: gRPC, SQLite, libvirt) may call.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "base/tunables.h"

namespace penstock {

using Duration = std::chrono::nanoseconds;
using Task = std::move_only_function<void()>;

// Monotonic time since an arbitrary start: for ages, timeouts, back-off.
struct MonoTime {
  Duration since_start{};
  auto operator<=>(const MonoTime&) const = default;
  MonoTime operator+(Duration d) const { return {since_start + d}; }
  Duration operator-(MonoTime other) const { return since_start - other.since_start; }
};

// Wall time since the Unix epoch: only for what people read.
struct WallTime {
  Duration since_epoch{};
  auto operator<=>(const WallTime&) const = default;
};

enum class TimerId : std::uint64_t {};

class Runtime {
 public:
  virtual ~Runtime() = default;

  // Runs the task on the strand, after those posted before it, never within this call.
  virtual void post(Task) = 0;
  virtual void post_from_any_thread(Task) = 0;

  // Runs the task on the strand once `delay` has passed. A cancelled timer never runs; cancelling one that has
  // run, or twice, does nothing.
  virtual TimerId after(Duration delay, Task) = 0;
  virtual void cancel(TimerId) = 0;

  virtual MonoTime now() const = 0;
  virtual WallTime wall() const = 0;

  // 64 uniformly distributed bits. Real runtime: from the kernel's generator, fit for secrets.
  virtual std::uint64_t random() = 0;

  virtual const Tunables& tunables() const = 0;
};

}  // namespace penstock
