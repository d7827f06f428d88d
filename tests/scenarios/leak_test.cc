#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

constexpr const char* kTwoHosts = R"(
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h1}, {name: h2}]
tunables: [flow_entries=4096, policy_arena_kib=1024]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
    vms: [{name: one, network: blue, host: h1}, {name: two, network: blue, host: h2}]
)";

// What a lab of this name could leave behind on the machine.
std::string leftovers(const std::string& lab) {
  std::string found;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);)
    if (line.find("/lab/" + lab) != std::string::npos) found += "mount " + line + "\n";
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream command(entry.path() / "cmdline");
    std::stringstream text;
    text << command.rdbuf();
    if (text.str().find("/lab/" + lab) != std::string::npos)
      found += "process " + entry.path().filename().string() + "\n";
  }
  if (std::filesystem::exists("/run/penstock/lab/" + lab)) found += "folder\n";
  return found;
}

class Leak : public LabTest {};

TEST_F(Leak, NothingIsLeftAfterDown) {
  up(kTwoHosts);
  if (HasFatalFailure()) return;
  EXPECT_NE(leftovers(name()), "");  // the probe sees a lab that is there
  ASSERT_TRUE(Lab::down(name()));
  EXPECT_EQ(leftovers(name()), "");
}

TEST_F(Leak, NothingIsLeftWhenEveryProgramWasKilled) {
  up(kTwoHosts);
  if (HasFatalFailure()) return;
  for (const auto& program : lab().folder().programs())
    kill(lab().folder().running_pid(program), SIGKILL);
  ASSERT_TRUE(Lab::down(name()));
  EXPECT_EQ(leftovers(name()), "");
}

TEST_F(Leak, AnUpThatWasKilledHalfWayIsTakenDown) {
  const auto path = fmt::format("{}/{}-half.yaml", testing::TempDir(), name());
  std::ofstream(path) << "name: " << name() << kTwoHosts;
  for (const int after_ms : {5, 30, 80, 200, 600}) {
    const int child = fork();
    if (child == 0) {
      setpgid(0, 0);
      execl(built("penstock").c_str(), "penstock", "lab", "up", path.c_str(), nullptr);
      _exit(127);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto gone = Lab::down(name());
    EXPECT_TRUE(gone) << after_ms << " ms: " << gone.error().text();
    EXPECT_EQ(leftovers(name()), "") << after_ms << " ms";
  }
  unlink(path.c_str());
}

}  // namespace
}  // namespace penstock::lab
