// penstockd, the management server: wiring only.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "base/http/listen_address.h"
#include "base/http/metrics_page.h"
#include "base/linux/process.h"
#include "base/real_runtime.h"
#include "server/grpc/grpc_server.h"
#include "server/http/gateway.h"
#include "server/linux/audit_file.h"
#include "server/server.h"
#include "store/sqlite/sqlite_store.h"

namespace {

using namespace penstock;

struct Options {
  std::string data = "/var/lib/penstock";
  std::string http = "127.0.0.1:7780", grpc = "127.0.0.1:7781";
  std::vector<std::string> set;
  std::string log_level = "info";
  std::string metrics;  // empty: not served
  bool insecure_listen = false;
  bool restored = false;
  int ready_fd = -1;
};

Status write_secret(const std::string& path, const std::string& secret) {
  // A file of its own right from the start: never readable by others, not even for a moment.
  unlink(path.c_str());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return fail_errno(errno, "write " + path);
  const auto text = secret + "\n";
  const bool good = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                    fsync(file) == 0;
  const int error = errno;
  close(file);
  if (!good) return fail_errno(error, "write " + path);
  return {};
}

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

// A connection each for hosts, clients and watches: the usual soft limit of 1,024 files is kept for
// programs that use select(2), which this one does not.
void allow_many_files() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int run(const Options& options) {
  const auto level = parse_level(options.log_level);
  StderrLog log("penstockd", level.value_or(LogLevel::kInfo));
  if (!level) return stopped(log, level.error());
  Tunables tunables;
  for (const auto& assignment : options.set)
    if (const auto status = tunables.set(assignment); !status) return stopped(log, status.error());
  const auto http_at = parse_listen_address(options.http, options.insecure_listen);
  if (!http_at) return stopped(log, http_at.error());
  const auto grpc_at = parse_listen_address(options.grpc, options.insecure_listen);
  if (!grpc_at) return stopped(log, grpc_at.error());
  if (mkdir(options.data.c_str(), 0700) != 0 && errno != EEXIST)
    return stopped(log, fail_errno(errno, "make " + options.data).error());

  allow_many_files();
  RealRuntime runtime(tunables);
  auto store = open_sqlite_store(runtime, log, options.data + "/penstock.db",
                                 options.restored ? StoreLife::kNew : StoreLife::kSame);
  if (!store) return stopped(log, store.error());
  if (options.restored)
    log.warning(
        "the store begins a new life: hosts drop what is not in it; do not pass --restored "
        "again");
  auto audit = open_audit_file(runtime, options.data + "/audit.log");
  if (!audit) return stopped(log, audit.error());
  Server server(runtime, log, **store, **audit);
  server.api().resident_bytes = resident_bytes;
  server.api().disk_space_by([&] { return disk_space(options.data); });
  MetricsPage metrics(runtime, log, [&] { return std::as_const(server.api()).metrics(); });
  Gateway gateway(runtime, server.api());
  HttpServer http(
      runtime, log,
      [&](HttpRequest request, std::shared_ptr<HttpResponder> responder) {
        gateway.handle(std::move(request), std::move(responder));
      },
      Gateway::error_body);
  GrpcServer grpc(runtime, log, server.api(), server.sessions());
  int result = 0;

  boost::asio::signal_set signals(runtime.io(), SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (error) return;
    log.info("stopping");
    grpc.stop([&] { runtime.stop(); });
  });

  auto begin = [&](Status status) -> Status {
    PENSTOCK_CHECK(std::move(status));
    PENSTOCK_CHECK(http_at->path.empty() ? http.listen(http_at->host, http_at->port)
                                         : http.listen_unix(http_at->path));
    PENSTOCK_CHECK(metrics.listen(options.metrics, options.insecure_listen));
    PENSTOCK_CHECK(grpc.listen(grpc_at->host, grpc_at->port));
    const auto http_text =
        http_at->path.empty() ? fmt::format("{}:{}", http_at->host, http.port()) : options.http;
    const auto grpc_text = fmt::format("{}:{}", grpc_at->host, grpc.port());
    server.api().listening = fmt::format("http {}, grpc {}", http_text, grpc_text);
    log.info("listening: {}", server.api().listening);
    log.warning("transport is not encrypted: use loopback addresses or networks you trust");
    const auto line = fmt::format("ready http={} grpc={}\n", http_text, grpc_text);
    const int to = options.ready_fd >= 0 ? options.ready_fd : STDOUT_FILENO;
    if (write(to, line.data(), line.size()) < 0) log.warning("nobody reads the ready line");
    if (options.ready_fd >= 0) close(options.ready_fd);
    return {};
  };
  server.start(
      [&](const std::string& secret) -> Status {
        const auto path = options.data + "/admin.token";
        PENSTOCK_CHECK(write_secret(path, secret));
        log.warning("first start: the token of user admin is in {} (keep it, then remove the file)",
                    path);
        return {};
      },
      [&](Status status) {
        if (const auto begun = begin(std::move(status)); !begun) {
          result = stopped(log, begun.error());
          grpc.stop([&] { runtime.stop(); });
        }
      });
  runtime.run();
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  Options options;
  CLI::App app("Penstock's management server");
  app.add_option("--data", options.data, "folder of the store")->capture_default_str();
  app.add_option("--listen-http", options.http,
                 "ADDRESS:PORT of HTTP/JSON (port 0: any), or unix:PATH")
      ->capture_default_str();
  app.add_option("--listen-grpc", options.grpc, "ADDRESS:PORT of gRPC; port 0: any")
      ->capture_default_str();
  app.add_option("--listen-metrics", options.metrics,
                 "ADDRESS:PORT of Prometheus metrics, without a token; not given: not served");
  app.add_option("--set", options.set, "tunable=value, may be repeated");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->capture_default_str();
  app.add_flag("--insecure-listen", options.insecure_listen,
               "allow addresses other than loopback, without encryption");
  app.add_flag("--restored", options.restored,
               "once, after the store was put back from a backup: hosts give up later states");
  app.add_option("--ready-fd", options.ready_fd,
                 "file descriptor that gets the ready line instead of stdout");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
