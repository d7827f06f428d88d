#include "lab/folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "net/linux/fd.h"
#include "net/linux/namespace.h"

namespace penstock::lab {
namespace {

namespace fs = std::filesystem;
constexpr const char* kLabs = "/run/penstock/lab";
// Goes up when files or their meaning change so that an older or newer program cannot tell.
constexpr const char* kLayout = "1\n";

// Mount points at or below `root`, deepest first.
std::vector<std::string> mounts_below(const std::string& root) {
  std::ifstream table("/proc/self/mountinfo");
  std::vector<std::string> found;
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, mount_root, point;
    fields >> id >> parent >> device >> mount_root >> point;
    if (point == root || point.starts_with(root + "/")) found.push_back(point);
  }
  std::ranges::reverse(found);  // the table is in the order of mounting
  return found;
}

// Field 22 of /proc/<pid>/stat (proc(5)): start time in clock ticks since boot; empty when there is
// no such process or it is a zombie. One whose other threads are still on their way out is not:
// they hold its files, locks among them.
std::string start_time(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(file, text)) return {};
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string state, field, threads, start;
  fields >> state;
  for (int i = 4; i < 20; ++i) fields >> field;
  fields >> threads >> field >> start;
  if (state == "Z" && threads <= "1") return {};
  return start;
}

}  // namespace

Folder::Folder(const std::string& lab) : lab_(lab), root_(fmt::format("{}/{}", kLabs, lab)) {}

std::vector<std::string> Folder::all_labs() {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(kLabs, none))
    names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

bool Folder::exists() const {
  return !lab_.empty() && lab_ != "." && lab_ != ".." && lab_.find('/') == std::string::npos &&
         fs::exists(root_);
}

bool Folder::of_another_version() const {
  return read("layout").value_or("") != kLayout;
}

Status Folder::create() const {
  std::error_code error;
  fs::create_directories(kLabs, error);
  if (error) return fail_errno(error.value(), kLabs);
  if (mkdir(root_.c_str(), 0755) != 0) {
    if (errno != EEXIST) return fail_errno(errno, root_);
    return fail(Code::kAlreadyExists, fmt::format("lab {} is already there", lab_),
                fmt::format("penstock lab down {}", lab_));
  }
  std::error_code made;
  fs::create_directories(path("pids"), made);
  PENSTOCK_CHECK(note_pid(kBuilder, getpid()));
  PENSTOCK_CHECK(write("layout", kLayout));
  if (mount(root_.c_str(), root_.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
      mount(nullptr, root_.c_str(), nullptr, MS_PRIVATE, nullptr) != 0 ||
      mount(nullptr, root_.c_str(), nullptr, MS_SHARED, nullptr) != 0)
    return fail_errno(errno, "mount " + root_);
  for (const auto* below : {"netns", "hosts", "pids", "logs", "server", "tokens"}) {
    fs::create_directories(path(below), error);
    if (error) return fail_errno(error.value(), path(below));
  }
  return {};
}

Status Folder::remove() const {
  if (!exists()) return {};
  // Whoever builds it would go on.
  if (const int pid = running_pid(kBuilder); pid > 0 && pid != getpid()) kill(pid, SIGKILL);
  // Daemons first: a host's agent would start again what is taken from it.
  for (const auto& program : programs())
    if (const int pid = running_pid(program); pid > 0) kill(pid, SIGKILL);
  for (const auto& bound : bound_namespaces())
    if (auto space = linux_net::NetNamespace::open(bound))
      if (auto killed = linux_net::kill_processes_in(*space); !killed)
        return std::unexpected(std::move(killed).error().in("end the processes of " + bound));
  for (int tries = 0; tries < 200; ++tries) {
    const auto still = programs();
    if (std::ranges::none_of(still, [&](const auto& program) { return running_pid(program) > 0; }))
      break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  for (const auto& point : mounts_below(root_))
    if (umount2(point.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
      return fail_errno(errno, "unmount " + point);
  std::error_code error;
  fs::remove_all(root_, error);
  if (error) return fail_errno(error.value(), "remove " + root_);
  fs::remove(kLabs, error);  // only when it was the last one
  return {};
}

void Folder::built() const {
  fs::remove(path(std::string("pids/") + kBuilder));
}

bool Folder::dead() const {
  const auto all = programs();
  return !building() &&
         std::ranges::none_of(all, [&](const auto& program) { return running_pid(program) > 0; });
}

std::vector<int> Folder::processes() const {
  std::vector<int> pids;
  for (const auto& program : programs())
    if (const int pid = running_pid(program); pid > 0) pids.push_back(pid);
  for (const auto& bound : bound_namespaces())
    if (const auto space = linux_net::NetNamespace::open(bound))
      for (const int pid : linux_net::processes_in(*space)) pids.push_back(pid);
  std::ranges::sort(pids);
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

std::string Folder::inventory() const {
  const auto spaces = bound_namespaces().size();
  const auto counted = [](std::size_t n, const char* what, const char* plural) {
    return fmt::format("{} {}", n, n == 1 ? what : plural);
  };
  return fmt::format("{}, {}, {}", counted(processes().size(), "process", "processes"),
                     counted(spaces, "namespace", "namespaces"),
                     counted(mounts_below(root_).size() - spaces, "mount", "mounts"));
}

std::string Folder::instance_netns(const std::string& host, const std::string& vm) const {
  auto file = vm;
  std::ranges::replace(file, '/', '@');
  return fmt::format("{}/run/netns/{}", this->host(host), file);
}

Status Folder::write(const std::string& below, const std::string& text) const {
  return write_as(below, text, 0644);
}

Status Folder::write_secret(const std::string& below, const std::string& text) const {
  return write_as(below, text, 0600);
}

Status Folder::write_as(const std::string& below, const std::string& text, unsigned mode) const {
  const auto target = path(below), part = target + ".part";
  // Before anything is in it: nobody reads a secret in the moment before its mode is right.
  std::error_code none;
  fs::remove(part, none);
  const linux_net::Fd fd(open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return fail_errno(errno, part);
  std::ofstream file(part);
  file << text;
  file.close();
  if (!file || rename(part.c_str(), target.c_str()) != 0) return fail_errno(errno, target);
  return {};
}

Result<std::string> Folder::read(const std::string& below) const {
  std::ifstream file(path(below));
  if (!file) return fail_errno(errno, path(below));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> Folder::bound_namespaces() const {
  std::vector<std::string> found;
  for (const auto& point : mounts_below(root_))
    if (linux_net::namespace_bound_at(point)) found.push_back(point);
  return found;
}

int Folder::running_pid(const std::string& program) const {
  const auto text = read("pids/" + program);
  if (!text) return 0;
  std::istringstream fields(*text);
  int pid = 0;
  std::string started;
  fields >> pid >> started;
  return pid > 0 && !started.empty() && start_time(pid) == started ? pid : 0;
}

Status Folder::note_pid(const std::string& program, int pid) const {
  return write("pids/" + program, fmt::format("{} {}\n", pid, start_time(pid)));
}

std::vector<std::string> Folder::programs() const {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(path("pids"), none))
    if (entry.path().extension() != ".part" && entry.path().filename() != kBuilder)
      names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

}  // namespace penstock::lab
