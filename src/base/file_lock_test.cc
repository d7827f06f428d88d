#include "base/linux/file_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include <sys/wait.h>
#include <unistd.h>

namespace penstock {
namespace {

struct FileLockTest : ::testing::Test {
  FileLockTest() { std::filesystem::create_directory(folder); }
  ~FileLockTest() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("penstock-lock-" + std::to_string(getpid()));
};

TEST_F(FileLockTest, ASecondOneIsToldWhoHoldsItAndWhatToDo) {
  const auto first = FileLock::take(folder / "lock", "stop the other one");
  ASSERT_TRUE(first);
  const auto second = FileLock::take(folder / "lock", "stop the other one");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(second.error().message, ::testing::HasSubstr(std::to_string(getpid())));
  EXPECT_EQ(second.error().hint, "stop the other one");
}

TEST_F(FileLockTest, AFolderIsFreeAgainWhenItsHolderWasKilled) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const auto child = fork();
  if (child == 0) {
    const auto held = FileLock::take_folder(folder, "");
    const char word = held ? 'y' : 'n';
    if (write(ready[1], &word, 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char word = 0;
  ASSERT_EQ(read(ready[0], &word, 1), 1);
  ASSERT_EQ(word, 'y');
  EXPECT_FALSE(FileLock::take_folder(folder, ""));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileLock::take_folder(folder, ""));
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace penstock
