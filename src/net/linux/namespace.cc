#include "net/linux/namespace.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <thread>

#include <fmt/format.h>

namespace penstock::linux_net {
namespace {

constexpr char kOwnNamespace[] = "/proc/thread-self/ns/net";

Status on_own_thread(const std::function<Status()>& work) {
  Status status;
  std::thread([&] { status = work(); }).join();
  return status;
}

bool is_namespace(int fd) {
  struct statfs info {};
  return fstatfs(fd, &info) == 0 && info.f_type == NSFS_MAGIC;
}

}  // namespace

Result<NetNamespace> NetNamespace::of_fd(Fd fd, const std::string& name) {
  if (!is_namespace(fd.get())) {
    return fail(Code::kFailedPrecondition, fmt::format("{} is not a network namespace", name));
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return fail_errno(errno, fmt::format("stat {}", name));
  return NetNamespace(std::move(fd), info.st_ino);
}

Result<NetNamespace> NetNamespace::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, fmt::format("open network namespace {}", path));
  return of_fd(std::move(fd), path);
}

Result<NetNamespace> NetNamespace::current() {
  return open(kOwnNamespace);
}

Result<NetNamespace> NetNamespace::create_anonymous() {
  Fd fd;
  PENSTOCK_CHECK(on_own_thread([&]() -> Status {
    if (unshare(CLONE_NEWNET) != 0) return fail_errno(errno, "create a network namespace");
    fd = Fd(::open(kOwnNamespace, O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno(errno, fmt::format("open {}", kOwnNamespace));
    return {};
  }));
  return of_fd(std::move(fd), "a new namespace");
}

Result<NetNamespace> NetNamespace::create_bound(const std::string& path) {
  if (namespace_bound_at(path)) {
    return fail(Code::kAlreadyExists,
                fmt::format("a network namespace is bound at {} already", path));
  }
  auto made = PENSTOCK_TRY(create_anonymous());
  PENSTOCK_CHECK(made.bind_at(path));
  return made;
}

Status NetNamespace::bind_at(const std::string& path) const {
  Fd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  if (!file) return fail_errno(errno, fmt::format("create {}", path));
  const auto source = fmt::format("/proc/self/fd/{}", fd());
  if (mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    const int error = errno;
    unlink(path.c_str());
    return fail_errno(error, fmt::format("bind a network namespace at {}", path));
  }
  return {};
}

Status NetNamespace::run(const std::function<Status()>& work) const {
  return on_own_thread([&]() -> Status {
    if (setns(fd_.get(), CLONE_NEWNET) != 0) return fail_errno(errno, "enter a network namespace");
    return work();
  });
}

bool namespace_bound_at(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd && is_namespace(fd.get());
}

Status remove_bound_namespace(const std::string& path) {
  // More than one mount may lie on the file when a run folder was shared between mount namespaces.
  while (namespace_bound_at(path)) {
    if (umount2(path.c_str(), MNT_DETACH) != 0)
      return fail_errno(errno, fmt::format("unbind {}", path));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail_errno(errno, fmt::format("remove {}", path));
  return {};
}

std::vector<int> processes_in(const NetNamespace& where) {
  std::vector<int> found;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return found;
  while (const dirent* entry = readdir(proc)) {
    int pid = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (const auto parsed = std::from_chars(entry->d_name, end, pid);
        parsed.ec != std::errc{} || parsed.ptr != end) {
      continue;
    }
    struct stat info {};
    const auto path = fmt::format("/proc/{}/ns/net", pid);
    if (stat(path.c_str(), &info) == 0 && info.st_ino == where.inode()) found.push_back(pid);
  }
  closedir(proc);
  return found;
}

Status kill_processes_in(const NetNamespace& where) {
  const auto own = PENSTOCK_TRY(NetNamespace::current());
  if (own.inode() == where.inode()) {
    return fail(Code::kInternal,
                "refused to kill the processes of this program's own network namespace");
  }
  // Twice: a process may fork between the listing and its end.
  for (int round = 0; round < 2; ++round) {
    for (const int pid : processes_in(where)) {
      // The descriptor pins the process, so that the second look cannot be at another one with the
      // same number.
      Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
      struct stat info {};
      const auto path = fmt::format("/proc/{}/ns/net", pid);
      if (!process || stat(path.c_str(), &info) != 0 || info.st_ino != where.inode()) continue;
      if (syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) != 0) continue;
      pollfd ended{process.get(), POLLIN, 0};
      poll(&ended, 1, 1000);
    }
  }
  return {};
}

Status write_net_sysctl(const std::string& name, const std::string& value) {
  const auto path = "/proc/sys/net/" + name;
  Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file ||
      write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    return fail_errno(errno, fmt::format("write {} to {}", value, path));
  }
  return {};
}

}  // namespace penstock::linux_net
