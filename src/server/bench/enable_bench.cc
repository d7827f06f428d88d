// How long an enable takes inside the server: from the first byte of the HTTP request to the delta
// handed to the host's stream, and to the answer; with N virtual machines registered, on a real
// SQLite store.
//
//   enable_bench [VMS] [ROUNDS]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "base/real_runtime.h"
#include "server/http/gateway.h"
#include "server/linux/audit_file.h"
#include "server/server.h"
#include "store/sqlite/sqlite_store.h"

namespace {

using namespace penstock;
using Clock = std::chrono::steady_clock;

double ms_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// Acknowledges at once; notes when the last delta came.
class InstantHost final : public HostChannel {
 public:
  InstantHost(Runtime& runtime, HostSessions& sessions) : runtime_(runtime), sessions_(sessions) {}
  void connect(const std::string& secret) {
    id_ = sessions_.opened(secret, *this);
    v1::HostMessage message;
    message.mutable_hello()->set_host("h1");
    sessions_.received(id_, message);
  }
  void send(v1::ServerMessage message) override {
    if (message.has_heartbeat() || message.has_refused()) return;
    sent = Clock::now();
    runtime_.post([this, position = message.position()] {
      v1::HostMessage ack;
      *ack.mutable_ack()->mutable_position() = position;
      sessions_.received(id_, ack);
    });
  }
  void close() override {}
  std::atomic<Clock::time_point> sent{};

 private:
  Runtime& runtime_;
  HostSessions& sessions_;
  SessionId id_;
};

class Client {
 public:
  Client(std::uint16_t port, std::string token) : token_(std::move(token)) {
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    const int one = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  }
  ~Client() { close(socket_); }
  std::string call(const std::string& method, const std::string& path, const std::string& body) {
    const auto request = fmt::format(
        "{} {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{}",
        method, path, token_, body.size(), body);
    for (std::size_t at = 0; at < request.size();) {
      const auto n = ::send(socket_, request.data() + at, request.size() - at, MSG_NOSIGNAL);
      if (n <= 0) std::abort();
      at += static_cast<std::size_t>(n);
    }
    std::string answer;
    std::size_t whole = 0;
    while (whole == 0 || answer.size() < whole) {
      char buffer[65536];
      const auto n = recv(socket_, buffer, sizeof buffer, 0);
      if (n <= 0) std::abort();
      answer.append(buffer, static_cast<std::size_t>(n));
      const auto end = answer.find("\r\n\r\n");
      if (whole == 0 && end != answer.npos)
        whole = end + 4 +
                std::strtoul(answer.c_str() + answer.find("Content-Length: ") + 16, nullptr, 10);
    }
    if (!answer.starts_with("HTTP/1.1 200") || answer.find("\"error\"") != answer.npos) {
      std::fprintf(stderr, "%s %s: %.2000s\n", method.c_str(), path.c_str(), answer.c_str());
      std::exit(1);
    }
    return answer;
  }

 private:
  int socket_;
  std::string token_;
};

void show(const char* name, std::vector<double> values) {
  std::ranges::sort(values);
  std::printf("%-34s p50 %7.3f ms   p99 %7.3f ms\n", name, values[values.size() / 2],
              values[values.size() * 99 / 100]);
}

std::string text_between(const std::string& text, const std::string& from) {
  const auto at = text.find(from) + from.size();
  return text.substr(at, text.find('"', at) - at);
}

void drive(std::uint16_t port, const std::string& admin, RealRuntime& runtime, InstantHost& host,
           int vms, int rounds) {
  Client client(port, admin);
  client.call("PUT", "/v1/tenants/acme", "{}");
  client.call(
      "PUT", "/v1/hosts/h1",
      R"({"spec":{"uplinks":[{"name":"u0","device":"eth0","address":"192.0.2.1","mtu":1500}]}})");
  const auto token = client.call("PUT", "/v1/tokens/h1", R"({"spec":{"host":"h1"}})");
  const auto secret = text_between(token, R"("secret":")");
  client.call("PUT", "/v1/tenants/acme/networks/blue",
              R"({"spec":{"subnets":[{"cidr":"10.0.0.0/16"}]}})");
  client.call("PUT", "/v1/definitions/fw",
              R"({"spec":{"vendor":"v","serviceName":"fw","version":"1","levels":[{"name":"basic"}],
                 "insertionPoint":"VIRTUAL_SWITCH","filter":{"rules":[{"name":"r","action":"DENY",
                 "protocols":["tcp"],"ports":["22"]}]}}})");
  client.call("PUT", "/v1/profiles/fw",
              R"({"spec":{"definition":"fw","published":true,"availability":{"everyone":true}}})");
  const auto start = Clock::now();
  for (int i = 0; i < vms;) {
    std::string body = R"({"items":[)";
    for (int j = 0; j < 500 && i < vms; ++j, ++i)
      body += fmt::format(
          R"({}{{"put":{{"kind":"VirtualMachine","metadata":{{"name":"vm-{}","tenant":"acme"}},
             "spec":{{"power":"{}","nics":[{{"name":"eth0","network":"blue"}}],"placement":{{"host":"h1"}}}}}}}})",
          j ? "," : "", i, i < 100 ? "RUNNING" : "STOPPED");
    client.call("POST", "/v1:batch", body + "]}");
  }
  std::printf("%d VMs registered in %.0f ms\n", vms, ms_between(start, Clock::now()));
  client.call("PUT", "/v1/tenants/acme/pools/all", R"({"spec":{"selector":{}}})");
  std::promise<void> connected;
  runtime.post_from_any_thread([&] {
    host.connect(secret);
    connected.set_value();
  });
  connected.get_future().wait();

  std::vector<double> to_delta, to_answer, to_applied;
  for (int round = 0; round < rounds; ++round) {
    const auto body = fmt::format(R"({{"profile":"fw","vm":"vm-{}"}})", round % 100);
    for (const bool wait : {false, true}) {
      const auto begin = Clock::now();
      client.call("POST", wait ? "/v1/tenants/acme:enable?wait=applied" : "/v1/tenants/acme:enable",
                  body);
      const auto end = Clock::now();
      (wait ? to_applied : to_answer).push_back(ms_between(begin, end));
      to_delta.push_back(ms_between(begin, host.sent));
      client.call("POST", "/v1/tenants/acme:disable?wait=applied", body);
    }
  }
  show("enable: call to delta sent", to_delta);
  show("enable: call to answer", to_answer);
  show("enable, wait=applied: call to answer", to_applied);
  const auto begin = Clock::now();
  client.call("POST", "/v1/tenants/acme:enable?wait=applied", R"({"profile":"fw","pool":"all"})");
  std::printf("enable on a pool of all %d VMs, wait=applied: %.1f ms\n", vms,
              ms_between(begin, Clock::now()));
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS") || line.starts_with("VmHWM")) std::printf("%s\n", line.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const int vms = argc > 1 ? std::atoi(argv[1]) : 5000,
            rounds = argc > 2 ? std::atoi(argv[2]) : 200;
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("penstock-bench-{}", getpid());
  std::filesystem::create_directory(folder);
  {
    NullLog log;
    RealRuntime runtime(Tunables{});
    auto store = open_sqlite_store(runtime, log, folder / "store.db");
    if (!store) {
      std::fprintf(stderr, "%s\n", store.error().text().c_str());
      return 1;
    }
    auto audit = open_audit_file(runtime, folder / "audit.log");
    if (!audit) {
      std::fprintf(stderr, "%s\n", audit.error().text().c_str());
      return 1;
    }
    Server server(runtime, log, **store, **audit);
    Gateway gateway(runtime, server.api());
    HttpServer http(
        runtime, log,
        [&](auto request, auto responder) {
          gateway.handle(std::move(request), std::move(responder));
        },
        Gateway::error_body);
    InstantHost host(runtime, server.sessions());
    std::string admin;
    std::thread driver;
    server.start(
        [&](const std::string& secret) -> Status {
          admin = secret;
          return {};
        },
        [&](Status status) {
          if (!status || !http.listen("127.0.0.1", 0)) return runtime.stop();
          driver = std::thread([&] {
            drive(http.port(), admin, runtime, host, vms, rounds);
            runtime.post_from_any_thread([&] { runtime.stop(); });
          });
        });
    runtime.run();
    if (driver.joinable()) driver.join();
  }
  std::filesystem::remove_all(folder);
}
