// The audit log on a real disk: durable, torn lines, rotation, no room.
#include "server/linux/audit_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/real_runtime.h"

namespace penstock {
namespace {

struct AuditFileTest : ::testing::Test {
  AuditFileTest() {
    std::filesystem::create_directory(folder);
    tunables.audit_file_kib = 64;
    runtime = std::make_unique<RealRuntime>(tunables);
    open();
  }
  ~AuditFileTest() override {
    log.reset();
    std::filesystem::remove_all(folder);
  }
  void open() {
    log.reset();
    auto opened = open_audit_file(*runtime, path);
    ASSERT_TRUE(opened) << opened.error().text();
    log = std::move(*opened);
  }
  AuditRecordPtr record(int number, std::string message = "") {
    auto one = std::make_shared<v1::AuditRecord>();
    one->mutable_metadata()->set_name("a" + std::to_string(number));
    one->set_user("ann");
    one->set_outcome(v1::AuditRecord::ALLOWED);
    one->set_message(std::move(message));
    return one;
  }
  Status append(std::vector<AuditRecordPtr> records) {
    Status result;
    log->append(std::move(records), [&](Status status) {
      result = std::move(status);
      runtime->stop();
    });
    runtime->run();
    return result;
  }
  std::string text() const {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("penstock-audit-" + std::to_string(getpid()));
  std::string path = folder / "audit.log";
  Tunables tunables;
  std::unique_ptr<RealRuntime> runtime;
  std::unique_ptr<AuditLog> log;
};

TEST_F(AuditFileTest, OneLineARecordForItsOwnerOnly) {
  ASSERT_TRUE(append({record(1), record(2, "two\nlines")}));
  EXPECT_EQ(std::ranges::count(text(), '\n'), 2);
  EXPECT_THAT(text(), ::testing::HasSubstr(R"("user":"ann")"));
  struct stat file {};
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
}

TEST_F(AuditFileTest, ATornLineIsCutOffAndTheRestIsRead) {
  ASSERT_TRUE(append({record(1), record(2)}));
  log.reset();
  std::ofstream(path, std::ios::app) << R"({"kind":"AuditRecord","metadata":{"na)";
  open();
  ASSERT_TRUE(append({record(3)}));
  EXPECT_EQ(std::ranges::count(text(), '\n'), 3);
  const auto newest = log->newest(2);
  ASSERT_TRUE(newest);
  ASSERT_EQ(newest->size(), 2u);
  EXPECT_EQ((*newest)[0]->metadata().name(), "a2");
  EXPECT_EQ((*newest)[1]->metadata().name(), "a3");
  EXPECT_EQ((*newest)[1]->outcome(), v1::AuditRecord::ALLOWED);
}

TEST_F(AuditFileTest, GoesOnInANewFileAndKeepsOneOldOne) {
  int number = 0;
  for (; number < 300; ++number) ASSERT_TRUE(append({record(number, std::string(1000, 'x'))}));
  EXPECT_LT(std::filesystem::file_size(path), 70u * 1024);
  EXPECT_GE(std::filesystem::file_size(path + ".1"), 64u * 1024);
  EXPECT_FALSE(std::filesystem::exists(path + ".2"));
  const auto newest = log->newest(70);  // more than the new file holds
  ASSERT_TRUE(newest);
  ASSERT_EQ(newest->size(), 70u);
  EXPECT_EQ(newest->back()->metadata().name(), "a299");
  EXPECT_EQ(newest->front()->metadata().name(), "a230");
}

TEST_F(AuditFileTest, OnAFullDiskNothingIsHalfWritten) {
  log.reset();
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(mount("none", folder.c_str(), "tmpfs", 0, "size=64k"), 0);
  open();
  ASSERT_TRUE(append({record(1)}));
  const auto before = text();
  const auto full = append({record(2, std::string(100'000, 'x')), record(3)});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::kResourceExhausted);
  EXPECT_EQ(text(), before);
  EXPECT_TRUE(append({record(4)}));  // there is room for a small one
  log.reset();
  umount(folder.c_str());
}

}  // namespace
}  // namespace penstock
