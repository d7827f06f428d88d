// Simulated time and chance. One SimClock holds the agenda of a whole world; every simulated program has its own
// SimRuntime on it, so that a crash of one program drops exactly its tasks and timers. Same seed, same trace.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>

#include "base/runtime.h"

namespace penstock {

// splitmix64: small, seedable, the same on every machine (std distributions are not).
class SimRandom {
 public:
  explicit SimRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1p-53 < probability; }

 private:
  std::uint64_t state_;
};

class SimClock {
 public:
  explicit SimClock(std::uint64_t seed) : random_(seed) {}

  MonoTime now() const { return now_; }
  SimRandom& random() { return random_; }

  // Puts a task on the agenda. Tasks due at the same instant run in the order they were put there.
  std::uint64_t at(MonoTime when, Task task);
  void drop(std::uint64_t entry);
  // Runs the next task; false when the agenda is empty. Time jumps to it.
  bool step();
  // Runs until nothing is due before `end`, then time is `end`.
  void run_until(MonoTime end);

 private:
  MonoTime now_{};
  SimRandom random_;
  std::uint64_t next_entry_ = 1;
  std::map<std::pair<Duration, std::uint64_t>, Task> agenda_;
  std::unordered_map<std::uint64_t, Duration> due_;  // looked up only, never iterated
};

class SimRuntime final : public Runtime {
 public:
  SimRuntime(SimClock& clock, Tunables tunables);
  // Forgets all tasks and timers of this program: what kill -9 does.
  ~SimRuntime() override;

  void post(Task) override;
  void post_from_any_thread(Task) override;
  TimerId after(Duration, Task) override;
  void cancel(TimerId) override;
  MonoTime now() const override;
  WallTime wall() const override;
  std::uint64_t random() override;
  const Tunables& tunables() const override;

 private:
  SimClock& clock_;
  Tunables tunables_;
  SimRandom random_;
  std::map<std::uint64_t, bool> mine_;  // agenda entries of this program, in order of birth
};

}  // namespace penstock
