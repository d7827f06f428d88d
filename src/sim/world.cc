#include "sim/world.h"

#include <algorithm>

#include "model/approval.h"
#include "sim/accidents.h"

namespace penstock::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Legal values that keep a small world small: it must converge within simulated minutes.
Tunables random_tunables(SimRandom& random) {
  Tunables t;
  const auto between = [&](std::int64_t low, std::int64_t high) {
    return low +
           static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high - low + 1)));
  };
  t.store_txn_max_ops = between(30, 100);
  t.store_retry_ms = between(10, 500);
  t.session_heartbeat_ms = between(200, 2000);
  t.session_lost_ms = t.session_heartbeat_ms * between(3, 6);
  t.session_in_flight_max = between(1, 8);
  t.session_coalesce_us = random.below(2) ? 0 : between(1, 20'000);
  t.session_reconnect_min_ms = between(10, 500);
  t.session_reconnect_max_ms = t.session_reconnect_min_ms * between(1, 8);
  t.move_deadline_ms = between(300, 8'000);
  t.reconcile_retry_min_ms = between(10, 300);
  t.reconcile_retry_max_ms = t.reconcile_retry_min_ms * between(2, 16);
  t.reconcile_batch = between(1, 64);
  t.reconcile_audit_ms = between(500, 10'000);
  t.reconcile_look_ms = between(0, 50);
  t.intent_persist_ms = between(1, 3000);
  t.arena_reclaim_ms = between(10, 6000);
  t.policy_arena_kib = 256;
  t.ports_max = between(32, 64);
  return t;
}

std::vector<v1::Condition> conditions_of(const Message& object) {
  std::vector<v1::Condition> out;
  const auto* status = object.GetDescriptor()->FindFieldByName("status");
  if (!status || !object.GetReflection()->HasField(object, status)) return out;
  const auto& message = object.GetReflection()->GetMessage(object, status);
  const auto* conditions = message.GetDescriptor()->FindFieldByName("conditions");
  for (int i = 0; i < message.GetReflection()->FieldSize(message, conditions); ++i)
    out.push_back(static_cast<const v1::Condition&>(
        message.GetReflection()->GetRepeatedMessage(message, conditions, i)));
  return out;
}

class World {
 public:
  explicit World(const RunOptions& options)
      : options_(options),
        clock_(options.seed * 0x9e3779b97f4a7c15 + 1),
        trace_(clock_, options.loud),
        verdict_(trace_),
        tunables_(random_tunables(clock_.random())),
        server_(clock_, trace_, verdict_, tunables_,
                fmt::format("{:016x}{:016x}", clock_.random().next(), clock_.random().next()),
                options.defect),
        history_(server_.disk, images_, verdict_, host_names()),
        clients_(clock_, trace_, verdict_, history_, server_,
                 {.applied = [this](const Operation& operation, std::int64_t revision) {
                   applied(operation, revision);
                 }}) {
    int number = 0;
    for (const auto& name : host_names())
      hosts_.push_back(std::make_unique<HostNode>(
          HostNode::Parts{clock_, trace_, verdict_, history_, images_, options.defect}, name,
          ++number, tunables_, [this]() -> HostSessions* {
            auto* server = server_.serving();
            return server ? &server->sessions() : nullptr;
          }));
    for (auto& host : hosts_) host->machines.transit = &transit_;
    server_.on_serving = [this] {
      history_.catch_up();
      began_at_ = history_.revision();
      server_.compare_with(history_);
      clients_.check_nothing_lost();
    };
  }
  // Programs go before what they stand on.
  ~World() {
    for (auto& host : hosts_) host->crash(false);
    server_.crash();
  }

  RunReport go() {
    if (set_up())
      for (step_ = 1; step_ <= options_.steps && !verdict_.first(); ++step_) step();
    if (!verdict_.first()) settle();
    RunReport report;
    report.seed = options_.seed;
    report.hash = trace_.hash().text();
    report.trace_lines = trace_.lines();
    report.step = std::min(step_, options_.steps);
    report.broken = verdict_.first();
    report.last_lines.assign(trace_.last().begin(), trace_.last().end());
    report.succeeded = clients_.succeeded;
    report.refused = clients_.refused;
    report.gave_up = clients_.gave_up;
    report.revisions = server_.disk.latest().value;
    report.simulated_s = std::chrono::duration<double>(clock_.now().since_start).count();
    return report;
  }

 private:
  std::vector<std::string> host_names() const {
    std::vector<std::string> names;
    for (std::uint64_t i = 1; i <= 2 + options_.seed % 3; ++i)
      names.push_back(fmt::format("h{}", i));
    return names;
  }

  bool run_until(Duration limit, const std::function<bool()>& condition,
                 Duration every = milliseconds(20)) {
    const auto end = clock_.now() + limit;
    while (!verdict_.first() && !condition()) {
      if (clock_.now() >= end) return false;
      clock_.run_until(std::min(end, clock_.now() + every));
    }
    return !verdict_.first();
  }
  void run_for(Duration time) {
    const auto end = clock_.now() + time;
    bool over = false;
    clock_.at(end, [&over] { over = true; });
    while (!over && !verdict_.first() && clock_.step()) {
    }
    if (verdict_.first()) clock_.run_until(end);  // `over` must not be left behind
  }

  bool set_up() {
    server_.start();
    if (!run_until(seconds(10), [&] { return server_.serving() != nullptr; })) {
      verdict_.broken("a server starts", "it does not serve after ten seconds");
      return false;
    }
    clients_.secrets["admin"] = server_.admin;
    std::vector<std::pair<std::string, std::string>> hosts;
    for (const auto& host : hosts_) hosts.emplace_back(host->name(), host->uplink_address());
    for (auto& object : furniture(hosts)) {
      std::optional<Result<Answer>> answer;
      Operation operation;
      operation.number = next_operation_++;
      operation.user = "admin";
      operation.what = "furnish " + key_of(*unwrap(object)).describe();
      operation.send = [object](Api& api, const std::string& secret, const v1::WriteOptions&,
                                std::function<void(Result<Answer>)> done) {
        v1::PutRequest request;
        *request.mutable_object() = object;
        api.put(secret, std::move(request), [done](Result<v1::PutResponse> response) {
          if (!response) return done(std::unexpected(response.error()));
          std::shared_ptr<Message> copy(unwrap(response->object())->New());
          copy->CopyFrom(*unwrap(response->object()));
          done(Answer{response->outcome(), key_of(*copy), copy});
        });
      };
      clients_.begin(std::move(operation), [&](const Result<Answer>& result) { answer = result; });
      run_until(seconds(60), [&] { return answer.has_value(); });
      if (!answer || !*answer) {
        verdict_.broken("the world can be furnished",
                        key_of(*unwrap(object)).describe() + ": " +
                            (answer ? answer->error().text() : "no answer"));
        return false;
      }
      if (const auto* token = dynamic_cast<const v1::Token*>((*answer)->object.get())) {
        if (!token->spec().user().empty())
          clients_.secrets[token->spec().user()] = token->status().secret();
        for (auto& host : hosts_)
          if (token->spec().host() == host->name()) host->token = token->status().secret();
      }
    }
    for (auto& host : hosts_) host->start();
    accidents_.emplace(clock_, trace_, server_, hosts_, clients_);
    return !verdict_.first();
  }

  void step() {
    auto& random = clock_.random();
    if (random.below(100) < 70)
      clients_.begin(random_operation(random, history_.head(), host_names(), next_operation_++));
    else
      accidents_->one();
    const auto longest = random.below(12) == 0 ? 4000u : 250u;
    run_for(milliseconds(1 + random.below(longest)));
    history_.catch_up();
    for (auto& host : hosts_) host->look();
    look_at_guests();
  }

  // A guest is with one host, or with none while it moves.
  void look_at_guests() {
    std::map<std::uint64_t, std::string> running;
    for (const auto& host : hosts_)
      for (const auto& [id, machine] : host->machines.machines) {
        if (!machine.sending || machine.guest == 0) continue;
        const auto [other, first] = running.emplace(machine.guest, host->name());
        if (!first)
          verdict_.broken("a guest is with one host",
                          fmt::format("{} runs on {} and {}", id, other->second, host->name()));
      }
  }

  // A wait for "applied" was answered: every host that the revision concerns has said so.
  void applied(const Operation& operation, std::int64_t revision) {
    // Of a request that an earlier server committed, the present state is waited for instead.
    if (revision <= began_at_) return;
    for (const auto& host : hosts_)
      if (history_.concerns(host->name(), revision) && host->acknowledged() < revision)
        verdict_.broken(
            "applied means acknowledged",
            fmt::format("op {}: revision {} on {}, which acknowledged {}", operation.number,
                        revision, host->name(), host->acknowledged()));
  }

  // Everything is healed: the world must come to rest, and in the right place.
  void settle() {
    trace_.add("all is healed");
    accidents_->heal();
    if (!run_until(seconds(120), [&] { return clients_.under_way() == 0; }))
      return verdict_.broken("every request is answered", clients_.first_under_way());
    std::string why;
    const auto at_rest = [&] {
      history_.catch_up();
      if (!server_.serving()) return why = "the server does not serve", false;
      for (const auto& host : hosts_)
        if (!host->in_step(&why)) return why = host->name() + ": " + why, false;
      why = not_ready();
      return why.empty();
    };
    if (!run_until(seconds(180), at_rest, milliseconds(500)))
      return verdict_.broken("the world comes to rest", why);
    run_for(seconds(12));  // longer than any audit: rest must last
    if (!verdict_.first() && !at_rest()) return verdict_.broken("rest lasts", why);
    server_.compare_with(history_);
    clients_.check_nothing_lost();
    history_.check_compiler();
    look_at_guests();
    for (auto& host : hosts_) {
      host->look();
      host->compare_with_fresh();
    }
    // Nobody is left between hosts, and nobody's guest runs where the inventory does not say.
    history_.head().each<v1::VirtualMachine>([&](const v1::VirtualMachine& vm) {
      if (vm.status().has_move())
        verdict_.broken("moves end", key_of(vm).describe() + " is still moving");
    });
    if (!transit_.guests.empty())
      verdict_.broken("moves end", transit_.guests.begin()->second.id + " is with no host");
  }

  // What the server says is not as it should be; empty: nothing.
  std::string not_ready() {
    std::string why;
    for (const auto* kind :
         {"Host", "VirtualNetwork", "VirtualMachine", "ServiceProfile", "Enablement"}) {
      v1::ListRequest request;
      request.set_kind(kind);
      server_.serving()->api().list(
          clients_.secrets["admin"], request, [&](Result<v1::ListResponse> response) {
            if (!response) return void(why = response.error().text());
            for (const auto& object : response->items()) {
              const auto* item = unwrap(object);
              for (const auto& condition : conditions_of(*item))
                if (condition.type() == "Ready" && condition.status() != v1::Condition::TRUE &&
                    condition.reason() != "NotPublished" && condition.reason() != "Unschedulable" &&
                    condition.reason() != "Overridden" && condition.reason() != kAwaitingApproval &&
                    condition.reason() != kRefused)
                  why = key_of(*item).describe() + ": " + condition.ShortDebugString();
            }
          });
      if (!why.empty()) return why;
    }
    return why;
  }

  RunOptions options_;
  SimClock clock_;
  Trace trace_;
  Verdict verdict_;
  Tunables tunables_;
  Book images_;
  ServerNode server_;
  History history_;
  Clients clients_;
  host::FakeTransit transit_;  // what guests cross between hosts by
  std::vector<std::unique_ptr<HostNode>> hosts_;
  std::optional<Accidents> accidents_;
  int step_ = 0;
  int next_operation_ = 1;
  std::int64_t began_at_ = 0;  // revision at which the server began to serve
};

}  // namespace

RunReport run(const RunOptions& options) {
  return World(options).go();
}

}  // namespace penstock::sim
