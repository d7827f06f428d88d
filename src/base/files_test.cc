#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/linux/disk_files.h"
#include "base/real_runtime.h"
#include "base/sim_files.h"
#include "base/sim_runtime.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

Status replace_and_wait(RealRuntime& runtime, Files& files, const std::string& path,
                        std::string content) {
  Status outcome = fail(Code::kInternal, "done was not called");
  files.replace(path, std::move(content), [&](Status status) {
    outcome = std::move(status);
    runtime.stop();
  });
  runtime.run();
  return outcome;
}

TEST(DiskFiles, ReplacesAndReadsBack) {
  char folder[] = "/tmp/penstock-files-XXXXXX";
  ASSERT_TRUE(::mkdtemp(folder));
  const auto path = std::string(folder) + "/state/deep/file";
  {
    RealRuntime runtime({});
    DiskFiles files(runtime);
    EXPECT_FALSE(files.read(path).value().has_value());
    EXPECT_TRUE(replace_and_wait(runtime, files, path, "one"));
  }
  RealRuntime runtime({});
  DiskFiles files(runtime);
  EXPECT_EQ(files.read(path).value(), "one");
  EXPECT_TRUE(replace_and_wait(runtime, files, path, std::string(200'000, 'x')));
  EXPECT_EQ(files.read(path).value()->size(), 200'000u);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  std::filesystem::remove_all(folder);
}

TEST(DiskFiles, AFullDiskLeavesTheOldContent) {
  // /dev/full answers every write with ENOSPC; a file cannot be made below it at all.
  RealRuntime runtime({});
  DiskFiles files(runtime);
  EXPECT_FALSE(replace_and_wait(runtime, files, "/dev/full/state", "x"));
}

TEST(SimFiles, ACrashKeepsOldOrNewContentNeverAMix) {
  int old_content = 0, new_content = 0;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    SimClock clock(seed);
    SimFolder disk;
    disk.files["f"] = "old";
    {
      SimRuntime runtime(clock, {});
      SimFiles files(runtime, disk);
      files.replace("f", "new", [](Status) { FAIL() << "done after the crash"; });
    }
    clock.run_until({1s});
    ++(disk.files["f"] == "old" ? old_content : new_content);
  }
  EXPECT_GT(old_content, 10);
  EXPECT_GT(new_content, 10);
}

TEST(SimFiles, AFullDiskIsAnErrorAndTheOldContentStays) {
  SimClock clock(1);
  SimFolder disk;
  disk.files["f"] = "old";
  disk.full = true;
  SimRuntime runtime(clock, {});
  SimFiles files(runtime, disk);
  Status outcome;
  files.replace("f", "new", [&](Status status) { outcome = std::move(status); });
  clock.run_until({1s});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kResourceExhausted);
  EXPECT_EQ(files.read("f").value(), "old");
}

}  // namespace
}  // namespace penstock
