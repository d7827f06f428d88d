#include "compile/intent.h"

#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "model/json.h"
#include "model/testing/world.h"

namespace penstock {
namespace {

using testing::figure1;
using testing::World;

class CompileTest : public ::testing::Test {
 protected:
  const StepKinds kinds_ = standard_step_kinds();
  World world_{kinds_};
  Compiler compiler_{kinds_};

  void SetUp() override {
    const auto status = world_.put(figure1());
    ASSERT_TRUE(status) << status.error().text();
  }
  void put(std::string_view json) {
    const auto status = world_.put(json);
    ASSERT_TRUE(status) << status.error().text();
  }
  Changes last() { return compiler_.changes(world_.before(), world_.now(), world_.last_edits()); }
  std::string text(const HostIntent& intent) {
    std::string out;
    for (const auto& [key, bytes] : intent.items)
      out += encode_text(parse_item(*bytes), {}, 1) + "\n";
    return out;
  }
};

// To accept a new output: copy the file named in the failure over the golden one.
void expect_golden(const std::string& name, const std::string& got) {
  const std::string path = std::string(PENSTOCK_SOURCE_DIR) + "/tests/golden/" + name;
  std::ifstream file(path);
  std::stringstream want;
  want << file.rdbuf();
  if (want.str() == got) return;
  const std::string fresh = std::string(PENSTOCK_BUILD_DIR) + "/" + name;
  std::ofstream(fresh) << got;
  FAIL() << path << " differs from " << fresh;
}

// Through every phase of a move, and out of each of them: what hosts are told equals what they
// would be told anew.
TEST_F(CompileTest, AMoveIsCompiledAlikeStepByStepAndAnew) {
  put(R"({"kind": "Host", "metadata": {"name": "h3"}, "spec": {"uplinks": [{"name": "uplink0", "device": "eth0", "address": "203.0.113.13"}]}}
---
{"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "third"}, "spec": {"nics": [{"name": "eth0", "network": "net-blue"}], "placement": {"host": "h3"}}}
---
{"kind": "Enablement", "metadata": {"tenant": "acme", "name": "web-fw"}, "spec": {"profile": "office-firewall", "pool": "web"}})");
  auto now = world_.now();
  const auto step = [&](const std::string& host, const std::string& to, v1::VmMove::Phase phase) {
    auto vm = std::make_shared<v1::VirtualMachine>(*now.find<v1::VirtualMachine>("acme", "web-1"));
    vm->mutable_status()->set_host(host);
    vm->mutable_status()->clear_move();
    if (!to.empty()) {
      vm->mutable_status()->mutable_move()->set_to(to);
      vm->mutable_status()->mutable_move()->set_phase(phase);
    }
    const std::vector edits{Edit::put(vm)};
    const auto next = now.with(edits, now.revision() + 1);
    const auto changes = compiler_.changes(now, next, edits);
    for (const auto* name : {"h1", "h2", "h3"}) {
      auto intent = compiler_.compile(now, name);
      if (const auto found = changes.find(name); found != changes.end())
        found->second.apply_to(intent);
      EXPECT_EQ(text(intent), text(compiler_.compile(next, name)))
          << name << ": " << host << " -> " << to << " " << phase;
    }
    EXPECT_EQ(next.nics_of_network("acme", "net-blue").size(),
              now.nics_of_network("acme", "net-blue").size());
    now = next;
  };
  using Move = v1::VmMove;
  step("h1", "h2", Move::PREPARING);
  const auto items = compiler_.compile(now, "h2").items;
  const auto vm = now.find<v1::VirtualMachine>("acme", "web-1");
  const auto port = "60/port/" + std::to_string(vm->spec().nics(0).port_id());
  ASSERT_TRUE(items.contains(port));
  EXPECT_EQ(parse_item(*items.at(port)).port().steps_size(), 1) << "with its services";
  EXPECT_TRUE(parse_item(*items.at("50/vm/acme/web-1")).instance().arriving());
  step("h1", "h2", Move::SWITCHING);
  step("h2", "", {});
  step("h2", "h1", Move::PREPARING);
  step("h2", "", {});
  step("h2", "h3", Move::PREPARING);
  step("h2", "h3", Move::SWITCHING);
  step("h2", "h3", Move::RETURNING);
  step("h2", "", {});
  step("h2", "h1", Move::PREPARING);
  step("", "", {});
}

TEST_F(CompileTest, Figure1MatchesItsGoldenFiles) {
  put(R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "web-fw"}, "spec": {"profile": "office-firewall", "level": "strict", "pool": "web"}}
---
{"kind": "Enablement", "metadata": {"tenant": "acme"}, "spec": {"profile": "base-guard", "network": "net-blue"}})");
  expect_golden("figure1-h1.txt", text(compiler_.compile(world_.now(), "h1")));
  expect_golden("figure1-h2.txt", text(compiler_.compile(world_.now(), "h2")));
}

std::vector<std::string> keys(const HostIntent& intent, std::string_view prefix) {
  std::vector<std::string> out;
  for (const auto& [key, bytes] : intent.items)
    if (key.starts_with(prefix)) out.push_back(key);
  return out;
}

TEST_F(CompileTest, PublishingConfiguresHostsBeforeAnyoneEnables) {
  const auto before = compiler_.compile(world_.now(), "h1");
  // office-firewall: two levels for acme; base-guard: one for all.
  EXPECT_EQ(keys(before, "40/policy/").size(), 3u);
  put(R"({"kind": "Enablement", "metadata": {"tenant": "acme"}, "spec": {"profile": "office-firewall", "vm": "web-1"}})");
  const auto changes = last();
  ASSERT_EQ(changes.size(), 1u);
  ASSERT_EQ(changes.at("h1").put.size(), 1u) << "enabling is one port and nothing else";
  EXPECT_TRUE(changes.at("h1").put.begin()->first.starts_with("60/port/"));
  EXPECT_TRUE(changes.at("h1").remove.empty());
}

TEST_F(CompileTest, AProfileIsOnceOnAPortAndTheNearestTargetWins) {
  put(R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "far"}, "spec": {"profile": "office-firewall", "level": "basic", "network": "net-blue"}}
---
{"kind": "Enablement", "metadata": {"tenant": "acme", "name": "near"}, "spec": {"profile": "office-firewall", "level": "strict", "vm": "web-1"}}
---
{"kind": "Enablement", "metadata": {"tenant": "acme", "name": "first"}, "spec": {"profile": "base-guard", "vm": "web-1"}})");
  const auto steps = [&](const char* name) {
    const auto vm = world_.now().find<v1::VirtualMachine>("acme", name);
    std::string out;
    for (const auto& step : compiler_.steps_of(world_.now(), *vm, vm->spec().nics(0)))
      out += step.enablement() + ":" + step.level() + " ";
    return out;
  };
  EXPECT_EQ(steps("web-1"), "acme/first:only acme/near:strict ");
  EXPECT_EQ(steps("db-1"), "acme/far:basic ");
}

TEST_F(CompileTest, AMandatoryServiceGoesBeforeAnythingNearer) {
  put(R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "far"}, "spec": {"profile": "office-firewall", "level": "strict", "network": "net-blue", "mandatory": true}}
---
{"kind": "Enablement", "metadata": {"tenant": "acme", "name": "near"}, "spec": {"profile": "office-firewall", "level": "basic", "nic": {"vm": "web-1", "nic": "eth0"}}})");
  const auto first = [&] {
    const auto vm = world_.now().find<v1::VirtualMachine>("acme", "web-1");
    return compiler_.steps_of(world_.now(), *vm, vm->spec().nics(0)).at(0).enablement();
  };
  EXPECT_EQ(first(), "acme/far");
  put(R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "near"}, "spec": {"profile": "office-firewall", "level": "basic", "nic": {"vm": "web-1", "nic": "eth0"}, "mandatory": true}})");
  EXPECT_EQ(first(), "acme/near") << "among mandatory ones the nearest";
}

TEST_F(CompileTest, WhatIsAskedForIsNoStepUntilItIsGranted) {
  put(R"({"kind": "Group", "metadata": {"name": "netadmins"}}
---
{"kind": "ServiceProfile", "metadata": {"name": "office-firewall"}, "spec": {"definition": "firewall", "parameters": {"ports": ["80", "8000-8080"]}, "availability": {"allow": {"tenants": ["acme"]}}, "published": true, "approval": {"groups": ["netadmins"]}}})");
  world_.context.user_is_administrator = false;
  const std::string enable =
      R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "e"}, "spec": {"profile": "office-firewall", "level": "LEVEL", "vm": "web-1"}})";
  const auto at = [&](const char* level) {
    auto text = enable;
    return text.replace(text.find("LEVEL"), 5, level);
  };
  using Decision = v1::ApprovalDecision;
  const auto state = [&] {
    return world_.now().find<v1::Enablement>("acme", "e")->spec().approval().state();
  };
  const auto decide = [&](AdmitContext::Purpose purpose) {
    world_.context.purpose = purpose;
    const auto done = world_.put(*world_.now().find<v1::Enablement>("acme", "e"));
    world_.context.purpose = AdmitContext::Purpose::kPut;
    ASSERT_TRUE(done) << done.error().text();
  };
  put(at("basic"));
  EXPECT_EQ(state(), Decision::ASKED);
  EXPECT_TRUE(last().empty()) << "no host is told";
  decide(AdmitContext::Purpose::kGrant);
  ASSERT_EQ(last().size(), 1u);
  EXPECT_EQ(last().at("h1").put.size(), 1u) << "granting is one port";
  put(at("basic"));
  EXPECT_EQ(state(), Decision::GRANTED) << "the same again asks nothing";
  put(at("strict"));
  EXPECT_EQ(state(), Decision::ASKED) << "another level is another use";
  EXPECT_EQ(last().size(), 1u);
  decide(AdmitContext::Purpose::kRefuse);
  put(at("strict"));
  EXPECT_EQ(state(), Decision::REFUSED) << "applying a file again does not ask again";
  decide(AdmitContext::Purpose::kEnable);
  EXPECT_EQ(state(), Decision::ASKED) << "enabling does";
  world_.context.user_groups = {"netadmins"};
  put(at("basic"));
  EXPECT_EQ(state(), Decision::GRANTED) << "who may grant it need not ask";
  world_.context.user_groups = {};
  world_.context.user_is_administrator = true;
  ASSERT_TRUE(world_.erase(ObjectKey::of<v1::Enablement>("acme", "e"), false));
  put(at("basic"));
  EXPECT_EQ(state(), Decision::STATE_UNSPECIFIED) << "administrators never ask";
}

TEST_F(CompileTest, LimitsOfALevelReachThePortsItIsOn) {
  const auto step = [&] {
    const auto intent = compiler_.compile(world_.now(), "h1");
    for (const auto& [key, bytes] : intent.items)
      if (const auto item = parse_item(*bytes); item.has_port() && item.port().steps_size() > 0)
        return item.port().steps(0);
    return v1::StepIntent();
  };
  put(R"({"kind": "ServiceDefinition", "metadata": {"name": "limited"}, "spec": {"vendor": "v", "serviceName": "s", "version": "1",
    "levels": [{"name": "small", "limits": {"rateBitsPerSecond": 1000, "connections": 10, "users": 5}}, {"name": "large"}], "filter": {"defaultOut": "ALLOW", "defaultIn": "ALLOW"}}}
---
{"kind": "ServiceProfile", "metadata": {"name": "limited"}, "spec": {"definition": "limited", "published": true, "availability": {"everyone": true}}}
---
{"kind": "Enablement", "metadata": {"tenant": "acme", "name": "l"}, "spec": {"profile": "limited", "level": "small", "vm": "web-1"}})");
  EXPECT_EQ(step().limits().rate_bits_per_second(), 1000);
  EXPECT_EQ(step().limits().connections(), 10);
  EXPECT_EQ(step().limits().connections_per_second(), 0);
  // The profile's, whole, instead of the definition's; its ports are told, and nothing else.
  put(R"({"kind": "ServiceProfile", "metadata": {"name": "limited"}, "spec": {"definition": "limited", "published": true, "availability": {"everyone": true},
    "levels": [{"name": "small", "limits": {"connectionsPerSecond": 3}}, {"name": "large"}]}})");
  EXPECT_EQ(step().limits().rate_bits_per_second(), 0);
  EXPECT_EQ(step().limits().connections_per_second(), 3);
  const auto changes = last();
  ASSERT_EQ(changes.size(), 1u);
  ASSERT_EQ(changes.begin()->second.put.size(), 1u);
  EXPECT_TRUE(changes.begin()->second.put.begin()->first.starts_with("60/port/"));
  put(R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "l"}, "spec": {"profile": "limited", "level": "large", "vm": "web-1"}})");
  EXPECT_FALSE(step().has_limits());
}

TEST_F(CompileTest, TenantsWithEqualAddressesShareNothing) {
  const auto h1 = compiler_.compile(world_.now(), "h1"), h2 = compiler_.compile(world_.now(), "h2");
  for (const auto* intent : {&h1, &h2})
    for (const auto& [key, bytes] : intent->items) {
      const auto item = parse_item(*bytes);
      EXPECT_NE(item.policy().tenant(), "globex") << "not available to globex";
      EXPECT_NE(item.neighbor().vni(), 700u) << "app-1 is alone in its network";
    }
}

TEST_F(CompileTest, ItemsOfSayWhereAnObjectIsApplied) {
  put(R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "e"}, "spec": {"profile": "office-firewall", "pool": "web"}})");
  const auto items = compiler_.items_of(world_.now(), ObjectKey::of<v1::Enablement>("acme", "e"));
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items.at("h1").size(), 1u);
  EXPECT_EQ(
      compiler_
          .items_of(world_.now(), ObjectKey::of<v1::ServiceProfile>("", "office-firewall"), "h1")
          .size(),
      3u)
      << "two policies and the group of the databases";
  EXPECT_TRUE(
      compiler_.items_of(world_.now(), ObjectKey::of<v1::VirtualMachine>("acme", "spare")).empty());
}

TEST_F(CompileTest, ARuleWhosePeersAreNobodyIsLeftOutNotWidened) {
  ASSERT_TRUE(world_.put(
      R"({"kind": "ServiceDefinition", "metadata": {"name": "d"}, "spec": {"vendor": "v", "serviceName": "s", "version": "1",
    "levels": [{"name": "l"}], "filter": {"rules": [{"action": "ALLOW", "to": [{"network": "nowhere"}]}, {"action": "DENY"}]}}}
---
{"kind": "ServiceProfile", "metadata": {"name": "p"}, "spec": {"definition": "d", "availability": {"everyone": true}, "published": true}})"));
  for (const auto& [key, bytes] : compiler_.compile(world_.now(), "h1").items) {
    const auto item = parse_item(*bytes);
    if (item.policy().profile() != "p") continue;
    ASSERT_EQ(item.policy().filter().rules_size(), 1);
    EXPECT_EQ(item.policy().filter().rules(0).index(), 1u);
  }
}

// Random edits through admission: whatever is admitted must compile incrementally to what a full
// compile gives.
class RandomWorld {
 public:
  RandomWorld(World& world, std::uint64_t seed) : world_(world), random_(seed) {}
  int admitted = 0, refused = 0, decided = 0;

  bool step() {
    // Owners, whose enabling may have to be approved, and administrators.
    world_.context.user_is_administrator = random_.chance(0.6);
    const bool done = random_.chance(0.1)   ? decide()
                      : random_.chance(0.2) ? erase()
                                            : world_.put(document()).has_value();
    ++(done ? admitted : refused);
    return done;
  }

 private:
  World& world_;
  SimRandom random_;

  int below(int n) { return static_cast<int>(random_.below(static_cast<std::uint64_t>(n))); }
  const char* pick(std::initializer_list<const char*> list) {
    return list.begin()[below(static_cast<int>(list.size()))];
  }
  const char* tenant() { return pick({"acme", "globex"}); }

  // Grants or refuses what was asked, changes an earlier answer, or enables it again.
  bool decide() {
    std::vector<std::shared_ptr<const v1::Enablement>> asked;
    world_.now().each<v1::Enablement>([&](const v1::Enablement& e) {
      if (e.spec().has_approval()) asked.push_back(std::make_shared<v1::Enablement>(e));
    });
    if (asked.empty()) return false;
    using Purpose = AdmitContext::Purpose;
    const Purpose purposes[] = {Purpose::kGrant, Purpose::kRefuse, Purpose::kEnable};
    world_.context.purpose = purposes[below(3)];
    const auto done = world_.put(*asked[random_.below(asked.size())]);
    world_.context.purpose = Purpose::kPut;
    decided += done && done->changed;
    return done.has_value();
  }

  bool erase() {
    const auto& kind = kinds()[static_cast<std::size_t>(below(static_cast<int>(kinds().size())))];
    // Everything is of tenants and definitions: they go seldom, or little is left to look at.
    if ((&kind == &kind_of<v1::Tenant>() || &kind == &kind_of<v1::ServiceDefinition>()) &&
        random_.chance(0.7))
      return false;
    std::vector<ObjectKey> all;
    world_.now().each(kind, [&](const ObjectKey& key, const MessagePtr&, std::int64_t) {
      all.push_back(key);
      return true;
    });
    return !all.empty() &&
           world_.erase(all[random_.below(all.size())], random_.chance(0.5)).has_value();
  }

  std::string document() {
    const auto t = tenant();
    switch (below(16)) {
      case 0:
        return random_.chance(0.5)
                   ? R"({"kind": "Cluster", "metadata": {"name": "blue"}})"
                   : fmt::format(R"({{"kind": "Tenant", "metadata": {{"name": "{}"}}}})", t);
      case 1:
        return fmt::format(
            R"({{"kind": "Host", "metadata": {{"name": "h{}"}}, "spec": {{"cluster": "{}", "cordoned": {}, "uplinks": [{{"name": "u", "device": "eth0", "address": "192.0.2.{}"}}, {{"name": "w", "device": "eth1", "address": "192.0.2.{}"}}]{}}}}})",
            below(4), pick({"", "blue"}), random_.chance(0.1), 1 + below(100), 101 + below(100),
            random_.chance(0.5)
                ? R"(, "switches": [{"name": "s1", "uplink": "w"}, {"name": "s2", "uplink": "u"}])"
                : "");
      case 2:
        return fmt::format(
            R"({{"kind": "VirtualNetwork", "metadata": {{"tenant": "{}", "name": "{}"}}, "spec": {{"virtualSwitch": "{}", "mtu": {}, "subnets": [{{"cidr": "10.0.1.0/24", "gateway": "10.0.1.1"}}{}]}}}})",
            t, pick({"net-blue", "net-red", "n3"}), pick({"", "s1", "s2"}), pick({"0", "1400"}),
            random_.chance(0.5) ? R"(, {"cidr": "10.9.0.0/16"})" : "");
      case 3:
        return fmt::format(
            R"({{"kind": "VmPool", "metadata": {{"tenant": "{}", "name": "{}"}}, "spec": {{{}}}}})",
            t, pick({"web", "p2"}),
            random_.chance(0.5) ? R"("selector": {"matchLabels": {"role": "web"}})"
                                : fmt::format(R"("vms": ["v{}"])", below(8)));
      case 4:
        return fmt::format(
            R"({{"kind": "ServiceProfile", "metadata": {{"name": "{}"}}, "spec": {{"definition": "{}", "order": {}, "observe": {}, "published": {}, "parameters": {{{}}}, "availability": {{{}}}{}{}}}}})",
            pick({"office-firewall", "p2", "base-guard"}),
            pick({"firewall", "firewall", "guard", "guard"}), below(3), random_.chance(0.2),
            random_.chance(0.8), random_.chance(0.5) ? R"("tier": "web")" : "",
            pick({R"("everyone": true)", R"("allow": {"tenants": ["acme"]})",
                  R"("allow": {"hosts": ["h1"]})",
                  R"("everyone": true, "except": {"clusters": ["blue"]})", ""}),
            random_.chance(0.3)
                ? pick({R"(, "levels": [{"name": "basic"}])",
                        R"(, "levels": [{"name": "basic", "limits": {"connections": 5}}])"})
                : "",
            random_.chance(0.5) ? R"(, "approval": {})" : "");
      case 5:
        return fmt::format(
            R"({{"kind": "ServiceDefinition", "metadata": {{"name": "{}"}}, "spec": {{"vendor": "e", "serviceName": "G", "version": "v{}", "levels": [{{"name": "only"}}, {{"name": "basic"}}, {{"name": "strict"}}], "parameters": {{"type": "object", "properties": {{"tier": {{"type": "string", "default": "db"}}}}}}, "filter": {{"rules": [{{"action": "DENY", "to": [{}]}}]}}}}}})",
            pick({"guard", "firewall"}), below(1000),
            pick({R"({"cidr": "203.0.113.0/24"})", R"({"vms": {"matchLabels": {"role": "db"}}})",
                  R"({"vms": {"matchLabels": {"role": "${tier}"}}})", R"({"network": "n3"})"}));
      case 6:
      case 7:
      case 8:
      case 9:
        return fmt::format(
            R"({{"kind": "Enablement", "metadata": {{"tenant": "{}"}}, "spec": {{"profile": "{}", "level": "{}", "mandatory": {}, "observe": {}, {}}}}})",
            t, pick({"office-firewall", "base-guard", "p2"}), pick({"", "basic", "strict", "only"}),
            random_.chance(0.2), random_.chance(0.3),
            pick({R"("vm": "v1")", R"("vm": "v2")", R"("vm": "web-1")",
                  R"("nic": {"vm": "v3", "nic": "eth0"})", R"("pool": "web")", R"("pool": "p2")",
                  R"("network": "net-blue")", R"("network": "n3")"}));
      default:
        return fmt::format(
            R"({{"kind": "VirtualMachine", "metadata": {{"tenant": "{}", "name": "v{}", "labels": {{"role": "{}"}}}}, "spec": {{"power": "{}", "placement": {{{}}}, "nics": [{{"name": "eth0", "network": "{}"}}{}]}}}})",
            t, below(8), pick({"web", "db", "x"}), pick({"RUNNING", "RUNNING", "STOPPED"}),
            random_.chance(0.6) ? fmt::format(R"("host": "h{}")", below(4)) : "",
            pick({"net-blue", "net-red", "n3"}),
            random_.chance(0.3)
                ? fmt::format(R"(, {{"name": "eth1", "network": "{}"}})", pick({"net-blue", "n3"}))
                : "");
    }
  }
};

TEST_F(CompileTest, IncrementalEqualsFullUnderRandomEdits) {
  int decided = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    World world(kinds_, seed);
    ASSERT_TRUE(world.put(figure1()));
    Compiler incremental(kinds_);
    std::map<std::string, HostIntent> held;
    const std::vector<std::string> hosts{"h0", "h1", "h2", "h3"};
    for (const auto& host : hosts) held[host] = incremental.compile(world.now(), host);
    RandomWorld dice(world, seed);
    for (int round = 0; round < 800; ++round) {
      const auto revision = world.now().revision();
      if (!dice.step() || world.now().revision() == revision) continue;
      for (const auto& [host, change] :
           incremental.changes(world.before(), world.now(), world.last_edits())) {
        ASSERT_FALSE(change.empty());
        auto digest = held[host].digest();
        digest.add(change.difference);
        change.apply_to(held[host]);
        ASSERT_EQ(digest, held[host].digest()) << "the difference is what the change makes";
      }
      Compiler fresh(kinds_);
      for (const auto& host : hosts) {
        const auto full = fresh.compile(world.now(), host);
        ASSERT_EQ(digest_of(incremental.list(world.now(), host)), full.digest())
            << "seed " << seed << " round " << round << " host " << host
            << ": a kept item is stale";
        if (full == held[host]) continue;
        std::string edits;
        for (const auto& edit : world.last_edits())
          edits += edit.store_key() + (edit.is_erase() ? " erased\n" : "\n");
        FAIL() << "seed " << seed << " round " << round << " host " << host << "\n"
               << edits << "full:\n"
               << text(full) << "held:\n"
               << text(held[host]);
      }
    }
    decided += dice.decided;
    EXPECT_GT(dice.admitted, 150) << "refused " << dice.refused;
  }
  EXPECT_GT(decided, 10) << "requests for approval are answered";
}

TEST(HostChange, TwoChangesMakeOne) {
  const auto item = [](const char* key, const char* name) {
    v1::IntentItem out;
    out.set_key(key);
    out.mutable_network()->set_name(name);
    return make_item(std::move(out));
  };
  HostChange a{{{"x", item("x", "1")}, {"y", item("y", "1")}}, {"z"}, {}};
  HostChange b{{{"z", item("z", "2")}}, {"x"}, {}};
  HostIntent one{{{"z", item("z", "0")}}}, two = one;
  a.apply_to(one);
  b.apply_to(one);
  a.then(b);
  a.apply_to(two);
  EXPECT_EQ(one, two);
  EXPECT_EQ(one.digest(), two.digest());
  EXPECT_NE(one.digest(), HostIntent{}.digest());
}

}  // namespace
}  // namespace penstock
