// Network namespaces: made, bound to a path (as `ip netns` does), entered for one piece of work,
// removed.
//
// Threading: setns(2) and unshare(2) act on a thread. Nothing here ever changes the namespace of
// the caller: work in another namespace runs on a short-lived thread which the call waits for
// (about 50 us).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/linux/fd.h"

namespace penstock::linux_net {

class NetNamespace {
 public:
  // That of the calling thread.
  static Result<NetNamespace> current();
  // Opens a bound namespace. kNotFound: no such file; kFailedPrecondition: the file is not a
  // namespace.
  static Result<NetNamespace> open(const std::string& path);
  // A new namespace bound at `path` (the folder must exist; the file is made). kAlreadyExists: one
  // is bound there. Its `lo` is down.
  static Result<NetNamespace> create_bound(const std::string& path);
  // A new namespace without a name: it lives as long as this object, sockets in it and processes in
  // it.
  static Result<NetNamespace> create_anonymous();

  // Another name for it, as create_bound() would have given it.
  Status bind_at(const std::string& path) const;

  int fd() const { return fd_.get(); }
  // Equal for two handles of the same namespace.
  std::uint64_t inode() const { return inode_; }
  // Runs `work` on a thread inside this namespace and returns what it returned. Children forked by
  // `work` stay there.
  Status run(const std::function<Status()>& work) const;

 private:
  NetNamespace(Fd fd, std::uint64_t inode) : fd_(std::move(fd)), inode_(inode) {}
  static Result<NetNamespace> of_fd(Fd, const std::string& name);
  Fd fd_;
  std::uint64_t inode_ = 0;
};

// Whether a namespace is bound at `path` (and not just a file, or nothing).
bool namespace_bound_at(const std::string& path);
// Unbinds and removes the file; nothing there is no error. The kernel ends the namespace, and with
// it its veths, some time after the last process and socket in it are gone.
Status remove_bound_namespace(const std::string& path);
// Processes whose network namespace this is.
std::vector<int> processes_in(const NetNamespace&);
// Kills them (SIGKILL) and waits until they are gone, at most a second; never the caller's own
// namespace.
Status kill_processes_in(const NetNamespace&);
// Writes a file below /proc/sys/net as seen in the calling thread's namespace:
// "ipv6/conf/eth0/accept_dad", "0".
Status write_net_sysctl(const std::string& name, const std::string& value);

}  // namespace penstock::linux_net
