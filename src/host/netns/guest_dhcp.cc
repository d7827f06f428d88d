#include "host/netns/guest_dhcp.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "net/linux/fd.h"

namespace penstock::host {

using linux_net::NetNamespace;

namespace {

constexpr char kBusybox[] = "/bin/busybox";
// The descriptor under which the client's script is open in the client, which uses 3 and 4 for
// itself.
constexpr int kScriptFd = 9;

// udhcpc calls it with what happened as $1 and what was learned in the environment. `staticroutes`
// (option 121) win over `router`, RFC 3442.
constexpr std::string_view kScript = R"(#!/bin/busybox sh
ip() { /bin/busybox ip "$@"; }
case "$1" in
deconfig)
  ip -4 addr flush dev "$interface"
  ;;
bound|renew)
  ip -4 addr replace "$ip/$mask" brd + dev "$interface"
  [ -n "$mtu" ] && ip link set dev "$interface" mtu "$mtu"
  if [ -n "$staticroutes" ]; then
    set -- $staticroutes
    while [ $# -ge 2 ]; do
      if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"
      else ip route replace "$1" via "$2" dev "$interface" onlink; fi
      shift 2
    done
  elif [ -n "$router" ]; then
    ip route replace default via "${router%% *}" dev "$interface" onlink
  fi
  { [ -n "$domain" ] && echo "search $domain"
    for server in $dns; do echo "nameserver $server"; done
  } > "$PENSTOCK_RESOLV_CONF"
  ;;
esac
exit 0
)";

struct Paths {
  std::string folder, pid, resolv_conf;
};
Paths paths_of(const std::string& run_dir, const std::string& guest, const NicSpec& nic) {
  const auto folder = run_dir + "/dhcp";
  return {folder, fmt::format("{}/{}.{}.pid", folder, guest, nic.name),
          fmt::format("{}/{}.resolv.conf", folder, guest)};
}

// The client's pid, if the process of the pid file is alive and in this namespace.
std::optional<int> running_client(const NetNamespace& where, const std::string& pid_file) {
  int pid = 0;
  if (!(std::ifstream(pid_file) >> pid)) return std::nullopt;
  struct stat info {};
  if (stat(fmt::format("/proc/{}/ns/net", pid).c_str(), &info) != 0) return std::nullopt;
  if (info.st_ino != where.inode()) return std::nullopt;
  return pid;
}

// In memory, because run folders are usually mounted noexec.
Result<linux_net::Fd> script_in_memory() {
  linux_net::Fd script(memfd_create("penstock-udhcpc", MFD_CLOEXEC));
  if (!script ||
      write(script.get(), kScript.data(), kScript.size()) != static_cast<ssize_t>(kScript.size())) {
    return fail_errno(errno, "write the DHCP client's script to memory");
  }
  return script;
}

Status spawn_and_wait(std::vector<std::string> arguments, std::vector<std::string> environment,
                      int script) {
  std::vector<char*> argv, envp;
  for (auto& argument : arguments) argv.push_back(argument.data());
  for (auto& variable : environment) envp.push_back(variable.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, 0, 1);
  posix_spawn_file_actions_adddup2(&files, 0, 2);
  posix_spawn_file_actions_adddup2(&files, script, kScriptFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, kBusybox, &files, &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return fail_errno(error, "start the DHCP client");
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return fail(Code::kInternal, "the DHCP client did not start");
  return {};
}

}  // namespace

bool dhcp_client_runs(const NetNamespace& where, const std::string& run_dir,
                      const std::string& guest, const NicSpec& nic) {
  return running_client(where, paths_of(run_dir, guest, nic).pid).has_value();
}

Status start_dhcp_client(const NetNamespace& where, const std::string& run_dir,
                         const std::string& guest, const NicSpec& nic) {
  const auto paths = paths_of(run_dir, guest, nic);
  if (running_client(where, paths.pid)) return {};
  if (access(kBusybox, X_OK) != 0) {
    return fail(Code::kUnimplemented,
                fmt::format("there is no {} to ask for an address by DHCP", kBusybox),
                "apt-get install busybox-static, or give the NIC static addresses");
  }
  std::error_code ignored;
  std::filesystem::create_directories(paths.folder, ignored);
  auto script = PENSTOCK_TRY(script_in_memory());
  if (script.get() == kScriptFd) {
    // dup2 onto itself would leave close-on-exec set.
    script = linux_net::Fd(fcntl(script.get(), F_DUPFD_CLOEXEC, kScriptFd + 1));
  }
  // The shell ends at once and leaves the client to init. Names are passed as arguments, never as
  // shell text.
  const std::vector<std::string> command{
      "busybox",
      "sh",
      "-c",
      R"(/bin/busybox udhcpc -f -i "$1" -p "$2" -s "$3" -x "hostname:$4" -O staticroutes -O mtu -t 4 -T 1 -A 2 &)",
      "sh",
      nic.name,
      paths.pid,
      fmt::format("/proc/self/fd/{}", kScriptFd),
      guest.substr(guest.find_last_of("@/") + 1)};
  const std::vector<std::string> environment{"PATH=/bin:/usr/bin:/sbin:/usr/sbin",
                                             "PENSTOCK_RESOLV_CONF=" + paths.resolv_conf};
  return where.run([&] { return spawn_and_wait(command, environment, script.get()); });
}

Status stop_dhcp_client(const NetNamespace& where, const std::string& run_dir,
                        const std::string& guest, const NicSpec& nic) {
  const auto paths = paths_of(run_dir, guest, nic);
  if (const auto pid = running_client(where, paths.pid)) kill(*pid, SIGTERM);
  std::error_code ignored;
  std::filesystem::remove(paths.pid, ignored);
  return {};
}

void adopt_dhcp_clients(const std::string& folder, const std::string& run_dir,
                        const std::string& guest) {
  const auto own = std::filesystem::path(run_dir) / "dhcp";
  std::error_code ignored;
  if (std::filesystem::equivalent(folder, own, ignored)) return;
  std::filesystem::create_directories(own, ignored);
  for (const auto& file : std::filesystem::directory_iterator(folder, ignored))
    if (file.path().filename().string().starts_with(guest + "."))
      std::filesystem::copy_file(file.path(), own / file.path().filename(),
                                 std::filesystem::copy_options::overwrite_existing, ignored);
}

void forget_dhcp_clients(const std::string& run_dir, const std::string& guest) {
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(run_dir + "/dhcp", ignored)) {
    if (file.path().filename().string().starts_with(guest + "."))
      std::filesystem::remove(file.path(), ignored);
  }
}

}  // namespace penstock::host
