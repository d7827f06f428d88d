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

constexpr const char* kBadLink = "links: [{link: h2, delay: 5ms, loss: 1%}]\n";

int run_penstock(const std::string& arguments, std::string* said = nullptr) {
  const auto output =
      capture_in({{"/bin/sh", "-c", built("penstock") + " " + arguments}, "", "", ""}, 60'000);
  if (said && output) *said = output->text;
  return output ? output->status : -1;
}

// The kernel's programs of links, as far as their names tell: those of other labs as well.
int link_programs() {
  const auto output = capture_in(
      {{"/bin/sh", "-c", "bpftool prog show | grep -c 'name link_'"}, "", "", ""}, 10'000);
  return output ? std::atoi(output->text.c_str()) : -1;
}

TEST_F(Leak, ImpairedLinksLeaveNothingBehind) {
  const int before = link_programs();
  up(std::string(kTwoHosts) + kBadLink);
  if (HasFatalFailure()) return;
  EXPECT_GT(lab().folder().running_pid("relay"), 0);
  EXPECT_GE(link_programs(), before + 4);
  ASSERT_TRUE(Lab::down(name()));
  EXPECT_EQ(leftovers(name()), "");
  // The kernel ends a namespace, and with it devices and programs, some time later.
  EXPECT_TRUE(soon([&] { return link_programs() <= before; }));
}

TEST_F(Leak, AnInterruptedUpTakesItselfDown) {
  const auto path = fmt::format("{}/{}-int.yaml", testing::TempDir(), name());
  std::ofstream(path) << "name: " << name() << kTwoHosts << kBadLink;
  for (const int signal : {SIGINT, SIGTERM}) {
    for (const int after_ms : {60, 200, 500}) {
      const int child = fork();
      if (child == 0) {
        setpgid(0, 0);
        execl(built("penstock").c_str(), "penstock", "lab", "up", path.c_str(), nullptr);
        _exit(127);
      }
      setpgid(child, child);
      std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
      kill(signal == SIGINT ? -child : child, signal);  // Ctrl-C reaches the whole group
      int status = 0;
      waitpid(child, &status, 0);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        EXPECT_TRUE(Lab::down(name()));  // it was quicker
        continue;
      }
      EXPECT_EQ(leftovers(name()), "") << signal << " after " << after_ms << " ms";
    }
  }
  unlink(path.c_str());
}

TEST_F(Leak, GcRemovesLabsThatDiedAndNoOthers) {
  up(std::string(kTwoHosts) + kBadLink);
  if (HasFatalFailure()) return;
  std::string said;
  EXPECT_EQ(run_penstock("lab gc", &said), 0);
  EXPECT_EQ(said.find("lab " + name()), std::string::npos) << said;
  ASSERT_TRUE(Folder(name()).exists());
  for (const auto& program : lab().folder().programs())
    kill(lab().folder().running_pid(program), SIGKILL);
  ASSERT_TRUE(soon([&] { return lab().folder().dead(); }));
  EXPECT_EQ(run_penstock("lab list", &said), 0);
  EXPECT_NE(said.find("dead"), std::string::npos) << said;
  EXPECT_EQ(run_penstock("lab gc", &said), 0);
  EXPECT_NE(said.find(fmt::format("lab {} had died; removed: ", name())), std::string::npos)
      << said;
  EXPECT_NE(said.find("namespaces"), std::string::npos) << said;
  EXPECT_EQ(leftovers(name()), "");
}

TEST_F(Leak, UpTwiceIsTheSameLabOrAClearError) {
  const auto path = fmt::format("{}/{}-twice.yaml", testing::TempDir(), name());
  const auto write = [&](const std::string& more) {
    std::ofstream(path) << "name: " << name() << kTwoHosts << more;
  };
  std::string said;
  write("");
  ASSERT_EQ(run_penstock("lab up " + path, &said), 0) << said;
  EXPECT_EQ(run_penstock("lab up " + path, &said), 0) << said;
  EXPECT_NE(said.find("is up already"), std::string::npos) << said;
  write(kBadLink);
  EXPECT_EQ(run_penstock("lab up " + path, &said), 5) << said;
  EXPECT_NE(said.find("made from another topology"), std::string::npos) << said;
  EXPECT_NE(said.find("penstock lab down " + name()), std::string::npos) << said;
  write("");
  kill(Folder(name()).running_pid("h1"), SIGKILL);
  EXPECT_TRUE(soon([&] { return run_penstock("lab up " + path, &said) == 5; })) << said;
  EXPECT_NE(said.find("h1 does not run any more"), std::string::npos) << said;
  unlink(path.c_str());
}

TEST_F(Leak, SeveralLabsAtOnceDoNotMeet) {
  up(kTwoHosts);
  if (HasFatalFailure()) return;
  const auto other = name() + "-b";
  const auto path = fmt::format("{}/{}.yaml", testing::TempDir(), other);
  std::ofstream(path) << "name: " << other << kTwoHosts;
  std::string said;
  EXPECT_EQ(run_penstock("lab up " + path, &said), 0) << said;
  EXPECT_EQ(run_penstock("lab list -o json", &said), 0);
  EXPECT_NE(said.find("\"" + name() + "\""), std::string::npos) << said;
  EXPECT_NE(said.find("\"" + other + "\""), std::string::npos) << said;
  EXPECT_EQ(run_penstock(fmt::format("lab link set h1 --loss 100% --lab {}", other), &said), 0)
      << said;
  EXPECT_TRUE(pings("acme/one", address_of("acme", "two")));
  EXPECT_EQ(run_penstock("lab link list", &said), 6) << said;  // which one?
  EXPECT_EQ(run_penstock("lab down " + other), 0);
  EXPECT_TRUE(pings("acme/one", address_of("acme", "two")));
  unlink(path.c_str());
}

}  // namespace
}  // namespace penstock::lab
