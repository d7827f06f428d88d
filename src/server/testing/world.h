// A small simulated world for tests of the server: store, server, hosts and callers under simulated
// time.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/sim_runtime.h"
#include "compile/intent.h"
#include "model/json.h"
#include "server/server.h"
#include "server/sim_audit_log.h"
#include "store/sim/sim_store.h"

namespace penstock::testing {

// The host's end of a session, obedient: it takes what comes and acknowledges when told to, or at
// once.
class FakeHost final : public HostChannel {
 public:
  FakeHost(HostSessions& sessions, std::string name, std::string secret)
      : sessions_(&sessions), name_(std::move(name)), secret_(std::move(secret)) {}

  // Another server took the old one's place: what it holds stays.
  void meet(HostSessions& sessions) {
    sessions_ = &sessions;
    connected = false;
  }
  void connect() {
    id_ = sessions_->opened(secret_, *this);
    connected = true;
    v1::HostMessage message;
    auto& hello = *message.mutable_hello();
    hello.set_host(name_);
    *hello.mutable_position() = position;
    hello.set_digest(holds.digest().text());
    hello.set_kernel("6.1.0");
    for (const auto& [name, why] : uplink_problems) (*hello.mutable_uplink_problems())[name] = why;
    sessions_->received(id_, message);
  }
  void leave() {
    connected = false;
    sessions_->closed(id_);
  }
  void ack() {
    v1::HostMessage message;
    auto& ack = *message.mutable_ack();
    *ack.mutable_position() = position;
    for (const auto& [key, item] : not_ready) *ack.add_not_ready() = item;
    ack.set_digest(holds.digest().text());
    sessions_->received(id_, message);
  }
  void say(const v1::HostMessage& message) { sessions_->received(id_, message); }
  void fail(const std::string& key, const std::string& text, std::int64_t retry_in_ms) {
    auto& item = not_ready[key];
    item.set_key(key);
    item.set_reason("Failed");
    item.set_message(text);
    item.set_retry_in_ms(retry_in_ms);
  }

  void report(const v1::TraceReport& report) {
    v1::HostMessage message;
    *message.mutable_trace() = report;
    sessions_->received(id_, message);
  }
  // Trace orders that came, oldest first.
  std::vector<v1::TraceOrder> orders() const {
    std::vector<v1::TraceOrder> out;
    for (const auto& message : received)
      if (message.has_trace()) out.push_back(message.trace());
    return out;
  }

  void send(v1::ServerMessage message) override {
    if (holds_back())
      return held_back_.push_back(
          [this, message = std::move(message)]() mutable { send(std::move(message)); });
    received.push_back(message);
    if (message.has_heartbeat() || message.has_refused() || message.has_trace() ||
        message.has_probe() || message.has_preview() || message.has_counters() ||
        message.has_move() || message.has_flows())
      return;
    position = message.position();
    if (message.has_full()) {
      holds = {};
      for (const auto& item : message.full().items()) hold(item);
    }
    for (const auto& item : message.delta().put()) hold(item);
    for (const auto& key : message.delta().remove()) holds.items.erase(key);
    if (auto_ack) unanswered = true;
  }
  // A stream that takes its time when `slow`: what it holds back is taken by take().
  void send_serialized(std::string bytes, Task written) override {
    auto take = [this, bytes = std::move(bytes), written = std::move(written)]() mutable {
      HostChannel::send_serialized(std::move(bytes), std::move(written));
    };
    if (!slow) return take();
    held_back_.clear();
    held_back_.push_back(std::move(take));
  }
  bool holds_back() const { return !held_back_.empty(); }
  void take() {
    for (auto all = std::exchange(held_back_, {}); auto& one : all) one();
  }
  void close() override { connected = false; }

  const v1::ServerMessage& last() const { return received.back(); }

  bool connected = false, auto_ack = true, unanswered = false, slow = false;
  v1::Position position;
  HostIntent holds;
  std::map<std::string, v1::NotReady> not_ready;
  std::map<std::string, std::string> uplink_problems;  // of the next hello
  std::vector<v1::ServerMessage> received;

 private:
  void hold(const v1::IntentItem& item) {
    holds.items[item.key()] = make_item(v1::IntentItem(item));
  }
  HostSessions* sessions_;
  std::string name_, secret_;
  SessionId id_;
  std::deque<Task> held_back_;
};

class World {
 public:
  explicit World(std::uint64_t seed = 1, Tunables tunables = {})
      : clock(seed), disk("life-1"), tunables_(tunables) {
    boot();
  }
  ~World() { crash(); }

  // kill -9, and a new server on the same disk.
  void crash() {
    server.reset();
    audit_log.reset();
    store.reset();
    runtime.reset();
  }
  void boot() {
    runtime = std::make_unique<SimRuntime>(clock, tunables_);
    store = std::make_unique<SimStore>(*runtime, disk);
    audit_log = std::make_unique<SimAuditLog>(*runtime, audit_paper);
    server = std::make_unique<Server>(*runtime, log, *store, *audit_log);
    std::optional<Status> started;
    server->start(
        [this](const std::string& secret) -> Status {
          admin = secret;
          return {};
        },
        [&](Status status) { started = std::move(status); });
    run_until([&] { return started.has_value(); });
    ok = started.has_value() && started->has_value();
    for (auto& [name, host] : hosts) host->meet(server->sessions());
  }

  // Runs simulated time, hosts answering, until the condition holds; at most a simulated minute.
  template <typename F>
  bool run_until(F condition) {
    const auto end = clock.now() + std::chrono::seconds(60);
    while (!condition() && clock.now() < end) {
      if (!clock.step()) break;
      hosts_answer();
    }
    return condition();
  }
  void run_for(Duration duration) {
    const auto end = clock.now() + duration;
    bool over = false;
    const auto timer = clock.at(end, [&] { over = true; });
    while (!over && clock.step()) hosts_answer();
    (void)timer;
  }
  void hosts_answer() {
    for (auto& [name, host] : hosts)
      if (std::exchange(host->unanswered, false) && host->connected) host->ack();
  }

  // --- calls, run to their end
  template <typename Response, typename Request>
  Result<Response> call(void (Api::*method)(Caller, Request, Api::Done<Response>),
                        std::decay_t<Request> request, std::optional<std::string> secret = {}) {
    std::optional<Result<Response>> answer;
    (server->api().*method)(secret.value_or(admin), std::move(request),
                            [&](Result<Response> result) { answer = std::move(result); });
    run_until([&] { return answer.has_value(); });
    if (!answer) return ::penstock::fail(Code::kInternal, "no answer within a simulated minute");
    return std::move(*answer);
  }
  static v1::Object object(const std::string& json) {
    const auto tree = parse_json(json);
    if (!tree) throw std::runtime_error(tree.error().text());
    auto decoded = decode_object(*tree);
    if (!decoded) throw std::runtime_error(decoded.error().text());
    return wrap(**decoded);
  }
  Result<v1::PutResponse> put(const std::string& json, std::optional<std::string> secret = {},
                              v1::WriteOptions options = {}) {
    v1::PutRequest request;
    *request.mutable_object() = object(json);
    *request.mutable_options() = std::move(options);
    return call(&Api::put, std::move(request), secret);
  }
  Result<v1::Object> get(const std::string& kind, const std::string& tenant,
                         const std::string& name, std::optional<std::string> secret = {}) {
    v1::GetRequest request;
    request.set_kind(kind);
    request.set_tenant(tenant);
    request.set_name(name);
    return call<v1::Object, const v1::GetRequest&>(&Api::get, request, secret);
  }
  Result<v1::DeleteResponse> erase(const std::string& kind, const std::string& tenant,
                                   const std::string& name, bool cascade = false,
                                   std::optional<std::string> secret = {}) {
    v1::DeleteRequest request;
    request.set_kind(kind);
    request.set_tenant(tenant);
    request.set_name(name);
    request.set_cascade(cascade);
    return call(&Api::erase, request, secret);
  }
  Result<v1::EnableResponse> enable(const std::string& vm, v1::WriteOptions options = {},
                                    std::optional<std::string> secret = {}) {
    v1::EnableRequest request;
    request.set_tenant("acme");
    request.set_profile("office");
    request.set_vm(vm);
    *request.mutable_options() = std::move(options);
    return call(&Api::enable, request, secret);
  }
  std::string token_for_user(const std::string& user) {
    return secret_of(put(R"({"kind":"Token","metadata":{"name":"t-)" + user +
                         R"("},"spec":{"user":")" + user + R"("}})"));
  }
  static std::string secret_of(const Result<v1::PutResponse>& response) {
    if (!response) throw std::runtime_error(response.error().text());
    return response->object().token().status().secret();
  }
  FakeHost& add_host(const std::string& name) {
    must(put(R"({"kind":"Host","metadata":{"name":")" + name +
             R"("},"spec":{"uplinks":[{"name":"u0","device":"eth0","address":"192.0.2.)" +
             std::to_string(hosts.size() + 1) + R"(","mtu":1500}]}})"));
    const auto secret = secret_of(put(R"({"kind":"Token","metadata":{"name":"h-)" + name +
                                      R"("},"spec":{"host":")" + name + R"("}})"));
    auto& host = hosts[name];
    host = std::make_unique<FakeHost>(server->sessions(), name, secret);
    return *host;
  }
  template <typename T>
  static T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().text());
    return std::move(*result);
  }
  void add_vm(const std::string& name, const std::string& host, const std::string& more = "") {
    must(put(
        R"({"kind":"VirtualMachine","metadata":{"name":")" + name +
        R"(","tenant":"acme"},"spec":{"nics":[{"name":"eth0","network":"blue"}],"placement":{"host":")" +
        host + R"("})" + more + "}}"));
  }
  // Tenant acme, network blue, a firewall "office" for everyone, hosts h1 and h2, VM web-1 on h1.
  void furnish() {
    must(put(R"({"kind":"Tenant","metadata":{"name":"acme"}})"));
    add_host("h1").connect();
    add_host("h2").connect();
    must(put(R"({"kind":"VirtualNetwork","metadata":{"name":"blue","tenant":"acme"},
                 "spec":{"subnets":[{"cidr":"10.0.0.0/16","gateway":"10.0.0.1"}]}})"));
    must(put(
        R"({"kind":"ServiceDefinition","metadata":{"name":"fw"},"spec":{"vendor":"v","serviceName":"fw",
                 "version":"1","levels":[{"name":"basic"},{"name":"strict"}],"insertionPoint":"VIRTUAL_SWITCH",
                 "filter":{"rules":[{"name":"no-ssh","direction":"OUT","action":"DENY","protocols":["tcp"],
                 "ports":["22"]}]}}})"));
    must(put(
        R"({"kind":"ServiceProfile","metadata":{"name":"office"},"spec":{"definition":"fw","published":true,
                 "availability":{"everyone":true}}})"));
    add_vm("web-1", "h1");
    run_for(std::chrono::milliseconds(50));
  }

  SimClock clock;
  SimDisk disk;
  NullLog log;
  std::unique_ptr<SimRuntime> runtime;
  std::unique_ptr<SimStore> store;
  SimAuditPaper audit_paper;
  std::unique_ptr<SimAuditLog> audit_log;
  std::unique_ptr<Server> server;
  std::map<std::string, std::unique_ptr<FakeHost>> hosts;
  std::string admin;
  bool ok = false;

 private:
  Tunables tunables_;
};

}  // namespace penstock::testing
