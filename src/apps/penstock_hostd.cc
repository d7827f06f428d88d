// penstock-hostd, the host agent: wiring only. Stopping it leaves guests and data path as they are.
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "base/http/metrics_page.h"
#include "base/linux/disk_files.h"
#include "base/linux/file_lock.h"
#include "base/linux/process.h"
#include "base/real_runtime.h"
#include "host/agent.h"
#include "host/control/linux/control_socket.h"
#include "host/explain.h"
#include "host/grpc/grpc_host_link.h"
#include "host/hostport/hostport_hypervisor.h"
#include "host/linux/guest_service.h"
#include "host/linux/linux_kernel.h"
#include "host/linux/ring_reader.h"
#include "host/linux/underlay_probe.h"
#include "host/metrics.h"
#include "host/netns/netns_hypervisor.h"

namespace {

using namespace penstock;
using namespace penstock::host;

constexpr std::string_view kVersion = "0.1.0";

struct Options {
  std::string name, server = "127.0.0.1:7781", token_file;
  std::string state = "/var/lib/penstock-hostd", run = "/run/penstock-hostd";
  std::string bpffs = "/sys/fs/bpf/penstock";
  std::vector<std::string> set;
  std::string log_level = "info";
  std::string metrics;  // ADDRESS:PORT; empty: not served
  bool insecure_listen = false, cleanup = false;
  int ready_fd = -1;
};

int stopped(Log& log, const Error& error) {
  log.error("{}", error.text());
  return exit_code(error.code);
}

Result<LogLevel> parse_level(const std::string& text) {
  if (text == "debug") return LogLevel::kDebug;
  if (text == "info") return LogLevel::kInfo;
  if (text == "warning") return LogLevel::kWarning;
  if (text == "error") return LogLevel::kError;
  return fail(Code::kInvalidArgument, "\"" + text + "\" is not a log level",
              "debug, info, warning or error");
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Result<std::string> read_token(const std::string& path) {
  if (path.empty()) return std::string();
  auto token = first_line(path);
  if (token.empty())
    return fail(Code::kNotFound, "no token in " + path,
                "the administrator makes one for this host");
  return token;
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return fail_errno(errno, "make " + path);
}

// Two agents on one state or one switch would undo each other's work. Held until the process ends.
Result<std::vector<FileLock>> take_locks(const Options& options) {
  std::vector<FileLock> locks;
  locks.push_back(PENSTOCK_TRY(FileLock::take(options.state + "/lock",
                                              "another penstock-hostd runs with this --state: stop "
                                              "it, or give this one folders of its own")));
  locks.push_back(PENSTOCK_TRY(FileLock::take_folder(
      options.bpffs,
      "another penstock-hostd runs the switch pinned there: stop it, or give this one a --bpffs of "
      "its own")));
  return locks;
}

// A folder of its own: --bpffs may be the root of a mount, which cannot be removed.
std::string pins(const Options& options) {
  return options.bpffs + "/switch";
}

// Ends with instances, overlay device, programs and pins of this host gone; foreign things stay.
class Cleanup {
 public:
  Cleanup(RealRuntime& runtime, Log& log, const Options& options)
      : runtime_(runtime), log_(log), options_(options) {}

  Status run() {
    hypervisor_ = PENSTOCK_TRY(NetnsHypervisor::open(runtime_, log_, options_.run));
    const auto instances = PENSTOCK_TRY(hypervisor_->list());
    left_ = instances.size();
    for (const auto& instance : instances)
      hypervisor_->remove_instance(instance.id, [this](Status status) {
        if (!status && outcome_) outcome_ = std::move(status);
        if (--left_ == 0) runtime_.stop();
      });
    if (left_ > 0) runtime_.run();
    const auto links = PENSTOCK_TRY(LinkNetlink::open(runtime_, log_));
    for (const auto& link : PENSTOCK_TRY(links->links()))
      if (link.alias.starts_with("penstock:")) PENSTOCK_CHECK(links->delete_link(link.ifindex));
    PENSTOCK_CHECK(Switch::remove_all(pins(options_)));
    ::rmdir(options_.bpffs.c_str());  // stays when it is a mount or holds something else
    ::unlink((options_.state + "/intent").c_str());
    return outcome_;
  }

 private:
  RealRuntime& runtime_;
  Log& log_;
  const Options& options_;
  std::unique_ptr<NetnsHypervisor> hypervisor_;
  std::size_t left_ = 0;
  Status outcome_;
};

int run(const Options& options) {
  const auto level = parse_level(options.log_level);
  StderrLog log("penstock-hostd", level.value_or(LogLevel::kInfo));
  if (!level) return stopped(log, level.error());
  Tunables tunables;
  for (const auto& assignment : options.set)
    if (const auto status = tunables.set(assignment); !status) return stopped(log, status.error());
  RealRuntime runtime(tunables);
  for (const auto& folder : {options.state, options.run})
    if (const auto made = make_folder(folder); !made) return stopped(log, made.error());
  if (const auto made = make_folder(options.bpffs); !made) return stopped(log, made.error());
  if (options.cleanup) {
    const auto done = Cleanup(runtime, log, options).run();
    return done ? 0 : stopped(log, done.error());
  }
  const auto locks = take_locks(options);
  if (!locks) return stopped(log, locks.error());
  const auto token = read_token(options.token_file);
  if (!token) return stopped(log, token.error());

  std::unique_ptr<LinuxKernel> kernel;
  std::unique_ptr<NetnsHypervisor> netns;
  std::unique_ptr<HostPortHypervisor> host_ports;
  std::unique_ptr<GuestService> guests;
  const auto opened = [&]() -> Status {
    auto links = PENSTOCK_TRY(LinkNetlink::open(runtime, log));
    auto programs = PENSTOCK_TRY(Switch::open({.directory = pins(options)}, tunables, log));
    kernel = std::make_unique<LinuxKernel>(runtime, log, std::move(links), std::move(programs));
    netns = PENSTOCK_TRY(NetnsHypervisor::open(runtime, log, options.run));
    host_ports = PENSTOCK_TRY(HostPortHypervisor::open(runtime, log));
    guests = PENSTOCK_TRY(GuestService::open(runtime, log, kernel->programs()));
    return {};
  }();
  if (!opened) return stopped(log, opened.error());

  DiskFiles files(runtime);
  GrpcHostLink link(runtime, options.server, *token);
  utsname system{};
  ::uname(&system);
  Agent agent(runtime, log, *kernel, {{"host", host_ports.get()}, {"netns", netns.get()}}, files,
              link,
              {.name = options.name,
               .state_dir = options.state,
               .version = std::string(kVersion),
               .kernel = system.release,
               .boot_id = first_line("/proc/sys/kernel/random/boot_id")});
  agent.observe_ports({.ready = [&](const auto& port, const auto& network,
                                    int ifindex) { guests->ready(port, network, ifindex); },
                       .gone = [&](PortId port) { guests->gone(port); }});
  auto events =
      kernel->programs().open_events([&](const ps_event& event) { agent.flow_seen(event); });
  if (!events) return stopped(log, events.error());
  const RingReader flow_events(runtime, log, "logged flows", std::move(*events));
  UnderlayProbe underlay(runtime);
  agent.probe_by(
      [&](const v1::ProbeOrder& order, auto done) { underlay.probe(order, std::move(done)); });
  MetricsPage metrics(runtime, log, [&] {
    const auto events = kernel->programs().counters();
    return host_metrics(agent, *kernel, runtime.tunables(),
                        events.value_or(std::vector<std::uint64_t>()), resident_bytes());
  });
  if (const auto served = metrics.listen(options.metrics, options.insecure_listen); !served)
    return stopped(log, served.error());
  const auto control = ControlSocket::listen(
      runtime, log, options.run + "/hostd.sock",
      [&](std::string_view request) { return answer(agent, *kernel, request).dump(); });
  if (!control) return stopped(log, control.error());
  if (const auto started = agent.start(); !started) return stopped(log, started.error());

  boost::asio::signal_set signals(runtime.io(), SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (error) return;
    log.info("stopping; guests and data path go on");
    runtime.stop();
  });
  const std::string ready = "ready\n";
  if (::write(options.ready_fd >= 0 ? options.ready_fd : STDOUT_FILENO, ready.data(),
              ready.size()) < 0)
    log.warning("nobody reads the ready line");
  if (options.ready_fd >= 0) ::close(options.ready_fd);
  runtime.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  Options options;
  char hostname[256] = {};
  ::gethostname(hostname, sizeof(hostname) - 1);
  options.name = hostname;
  CLI::App app("Penstock's host agent");
  app.add_option("--name", options.name, "of this host, as the server knows it")
      ->capture_default_str();
  app.add_option("--server", options.server, "HOST:PORT of the server's gRPC")
      ->capture_default_str();
  app.add_option("--token-file", options.token_file, "file with this host's token");
  app.add_option("--state", options.state, "folder of what survives a reboot")
      ->capture_default_str();
  app.add_option("--run", options.run, "folder of the control socket and of instances")
      ->capture_default_str();
  app.add_option("--bpffs", options.bpffs, "folder on a bpffs for pinned maps and programs")
      ->capture_default_str();
  app.add_option("--set", options.set, "tunable=value, may be repeated");
  app.add_option("--listen-metrics", options.metrics,
                 "ADDRESS:PORT of Prometheus metrics; not given: not served");
  app.add_flag("--insecure-listen", options.insecure_listen,
               "allow metrics on addresses other than loopback, without encryption");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->capture_default_str();
  app.add_flag("--cleanup", options.cleanup, "remove everything this host's agent owns, and end");
  app.add_option("--ready-fd", options.ready_fd,
                 "file descriptor that gets the ready line instead of stdout");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
