#include "lab/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "net/linux/fd.h"

namespace penstock::lab {
namespace {

using Clock = std::chrono::steady_clock;
using linux_net::Fd;

// In the child of a fork of a program with one thread: ordinary code is safe there.
[[noreturn]] void die(const char* doing) {
  dprintf(2, "penstock lab: %s: %s\n", doing, strerror(errno));
  _exit(127);
}

// Keeps what happens under /run/penstock visible outside and everything else inside, then shows the
// namespace's own devices under /sys.
void own_mounts(const std::string& hostname) {
  if (unshare(CLONE_NEWNS | CLONE_NEWUTS) != 0) die("unshare");
  if (sethostname(hostname.c_str(), hostname.size()) != 0) die("set host name");
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    if (!point.starts_with("/run/penstock"))
      mount(nullptr, point.c_str(), nullptr, MS_PRIVATE, nullptr);
  }
  // Without it tools would see the devices of the machine; the daemons themselves use netlink.
  umount2("/sys/fs/bpf", MNT_DETACH);
  mount("sysfs", "/sys", "sysfs", 0, nullptr);
}

[[noreturn]] void become(const ProcessSpec& spec) {
  if (!spec.netns.empty()) {
    const int space = open(spec.netns.c_str(), O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) != 0) die(spec.netns.c_str());
  }
  if (!spec.hostname.empty()) own_mounts(spec.hostname);
  if (!spec.folder.empty() && chdir(spec.folder.c_str()) != 0) die(spec.folder.c_str());
  for (const auto& entry : spec.environment) putenv(const_cast<char*>(entry.c_str()));
  std::vector<char*> words;
  for (const auto& word : spec.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execvp(words[0], words.data());
  die(words[0]);
}

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace

Result<int> start_daemon(const Folder& folder, const std::string& name, const ProcessSpec& spec) {
  // Through a child that ends at once, so that the daemon is nobody's child and never a zombie of
  // ours. It waits with exec until its pid is noted: a lab never has a process that `down` would
  // not find.
  int told[2], go[2];
  if (pipe2(told, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  const Fd read_pid(told[0]), let_go(go[1]);
  Fd write_pid(told[1]), wait_go(go[0]);
  const int child = fork();
  if (child < 0) return fail_errno(errno, "fork");
  if (child == 0) {
    setsid();
    const int daemon = fork();
    if (daemon != 0) {
      if (write(write_pid.get(), &daemon, sizeof daemon) != sizeof daemon) _exit(1);
      _exit(0);
    }
    close(go[1]);
    char byte;
    if (read(wait_go.get(), &byte, 1) != 1) _exit(1);
    const int nothing = open("/dev/null", O_RDONLY);
    const int log = open(spec.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (nothing < 0 || log < 0) die(spec.log.c_str());
    dup2(nothing, 0);
    dup2(log, 1);
    dup2(log, 2);
    become(spec);
  }
  write_pid = Fd();
  wait_go = Fd();
  int daemon = 0;
  const bool known = read(read_pid.get(), &daemon, sizeof daemon) == sizeof daemon;
  waitpid(child, nullptr, 0);
  if (!known || daemon <= 0) return fail(Code::kInternal, "start " + name + ": fork failed");
  PENSTOCK_CHECK(folder.note_pid(name, daemon));
  if (write(let_go.get(), "g", 1) != 1) return fail_errno(errno, "start " + name);
  return daemon;
}

Status stop_daemon(const Folder& folder, const std::string& name, bool at_once) {
  const auto end = Clock::now() + std::chrono::seconds(5);
  for (bool first = true; const int pid = folder.running_pid(name); first = false) {
    const bool late = Clock::now() > end;
    if (first || late) kill(pid, at_once || late ? SIGKILL : SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::filesystem::remove(folder.path("pids/" + name));
  return {};
}

Result<int> run_in(const ProcessSpec& spec) {
  const int child = fork();
  if (child < 0) return fail_errno(errno, "fork");
  if (child == 0) become(spec);
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail_errno(errno, "wait for " + spec.words.front());
  return status_of(status);
}

Result<Output> capture_in(const ProcessSpec& spec, int limit_ms) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  const int child = fork();
  if (child < 0) return fail_errno(errno, "fork");
  if (child == 0) {
    setpgid(0, 0);
    dup2(writer.get(), 1);
    dup2(writer.get(), 2);
    become(spec);
  }
  writer = Fd();
  Output output;
  const auto end = Clock::now() + std::chrono::milliseconds(limit_ms);
  bool late = false;
  char buffer[4096];
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd waiting{reader.get(), POLLIN, 0};
    if (left <= 0 || poll(&waiting, 1, static_cast<int>(left)) == 0) {
      late = true;
      kill(-child, SIGKILL);
      break;
    }
    const auto count = read(reader.get(), buffer, sizeof buffer);
    if (count <= 0) break;
    if (output.text.size() < 1 << 20) output.text.append(buffer, static_cast<std::size_t>(count));
  }
  int status = 0;
  waitpid(child, &status, 0);
  output.status = late ? 124 : status_of(status);
  return output;
}

std::string program_path(const std::string& folder, const std::string& name) {
  if (!folder.empty()) return folder + "/" + name;
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

}  // namespace penstock::lab
