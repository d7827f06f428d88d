#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/real_runtime.h"
#include "base/sim_runtime.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST(SimRuntime, RunsByTimeThenByOrderOfBirth) {
  SimClock clock(1);
  SimRuntime runtime(clock, {});
  std::string order;
  runtime.after(2s, [&] { order += 'c'; });
  runtime.after(1s, [&] {
    order += 'a';
    runtime.post([&] { order += 'b'; });
  });
  runtime.cancel(runtime.after(1s, [&] { order += 'x'; }));
  clock.run_until({3s});
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(clock.now(), MonoTime{3s});
}

TEST(SimRuntime, ACrashDropsOnlyItsOwnTasks) {
  SimClock clock(1);
  SimRuntime survivor(clock, {});
  int ran = 0;
  survivor.after(1s, [&] { ++ran; });
  {
    SimRuntime victim(clock, {});
    victim.after(1s, [&] { ran += 100; });
  }
  clock.run_until({2s});
  EXPECT_EQ(ran, 1);
}

TEST(RealRuntime, RunsAgainAfterAStop) {
  RealRuntime runtime({});
  int ran = 0;
  for (int round = 1; round <= 3; ++round) {
    runtime.post([&] {
      ++ran;
      runtime.stop();
      runtime.post([&] { ran += 10; });  // waits for the next run
    });
    runtime.run();
    EXPECT_EQ(ran, round + 10 * (round - 1)) << "round " << round;
  }
  runtime.after(1ms, [&] {
    ran = -1;
    runtime.stop();
  });
  runtime.run();
  EXPECT_EQ(ran, -1) << "timers too";
  runtime.stop();
  runtime.run();  // a stop before the run ends it
}

TEST(RealRuntime, OtherThreadsMayPostAndCancelledTimersStayQuiet) {
  RealRuntime runtime({});
  bool cancelled_ran = false;
  int ran = 0;
  const auto timer = runtime.after(0ms, [&] { cancelled_ran = true; });
  runtime.cancel(timer);
  runtime.after(1ms, [&] { ++ran; });
  std::thread other([&] {
    runtime.post_from_any_thread([&] { ++ran; });
    std::this_thread::sleep_for(20ms);
    runtime.post_from_any_thread([&] { runtime.stop(); });
  });
  runtime.run();
  other.join();
  EXPECT_EQ(ran, 2);
  EXPECT_FALSE(cancelled_ran);
}

}  // namespace
}  // namespace penstock
