#include "model/snapshot.h"

#include <gtest/gtest.h>

#include "base/sim_runtime.h"

namespace penstock {
namespace {

// Small ranges, so that edits meet: the same names, addresses and hosts again and again.
class RandomObjects {
 public:
  explicit RandomObjects(std::uint64_t seed) : random_(seed) {}

  Edit next() {
    auto object = make();
    const auto key = key_of(*object);
    if (random_.chance(0.3)) return Edit::erase(key);
    return Edit::put(std::move(object));
  }

 private:
  SimRandom random_;

  std::string pick(const char* stem, int n) { return stem + std::to_string(random_.below(n)); }
  template <typename T>
  std::shared_ptr<T> named(const char* stem, int n, bool tenant) {
    auto out = std::make_shared<T>();
    out->mutable_metadata()->set_name(pick(stem, n));
    // "t" and "t-1": one is a prefix of the other.
    if (tenant) out->mutable_metadata()->set_tenant(random_.chance(0.5) ? "t" : "t-1");
    return out;
  }

  std::shared_ptr<Message> make() {
    switch (random_.below(8)) {
      case 0: {
        auto pool = named<v1::VmPool>("pool", 4, true);
        for (int i = 0; i < 3; ++i) pool->mutable_spec()->add_vms(pick("vm", 12));
        if (random_.chance(0.5))
          (*pool->mutable_spec()->mutable_selector()->mutable_match_labels())["a"] = pick("v", 3);
        return pool;
      }
      case 1: {
        auto e = named<v1::Enablement>("e", 10, true);
        e->mutable_spec()->set_profile(pick("profile", 3));
        switch (random_.below(4)) {
          case 0:
            e->mutable_spec()->set_vm(pick("vm", 12));
            break;
          case 1:
            e->mutable_spec()->mutable_nic()->set_vm(pick("vm", 12));
            break;
          case 2:
            e->mutable_spec()->set_pool(pick("pool", 4));
            break;
          default:
            e->mutable_spec()->set_network(pick("net", 3));
        }
        return e;
      }
      case 2: {
        auto network = named<v1::VirtualNetwork>("net", 3, true);
        network->mutable_spec()->set_vni(static_cast<int>(random_.below(5)) + 1);
        return network;
      }
      case 3: {
        auto user = named<v1::User>("user", 5, false);
        user->mutable_spec()->add_groups(pick("group", 3));
        return user;
      }
      case 4: {
        auto token = named<v1::Token>("token", 5, false);
        token->mutable_spec()->set_user(pick("user", 5));
        token->mutable_spec()->set_sha256(pick("sha", 9));
        return token;
      }
      case 5: {
        auto profile = named<v1::ServiceProfile>("profile", 3, false);
        profile->mutable_spec()->set_definition(pick("d", 2));
        return profile;
      }
      default:
        return vm();
    }
  }

  std::shared_ptr<Message> vm() {
    auto vm = named<v1::VirtualMachine>("vm", 12, true);
    (*vm->mutable_metadata()->mutable_labels())["a"] = pick("v", 3);
    if (random_.chance(0.5)) (*vm->mutable_metadata()->mutable_labels())["b"] = pick("v", 3);
    if (random_.chance(0.7)) vm->mutable_status()->set_host(pick("h", 3));
    for (std::uint64_t i = 0; i < random_.below(3); ++i) {
      auto& nic = *vm->mutable_spec()->add_nics();
      nic.set_name("eth" + std::to_string(i));
      nic.set_network(pick("net", 3));
      nic.set_port_id(static_cast<std::uint32_t>(random_.below(1000)));
      nic.set_mac("02:00:00:00:00:0" + std::to_string(random_.below(9)));
      nic.add_addresses("10.0.0." + std::to_string(random_.below(30)));
      nic.add_addresses("fd00::" + std::to_string(random_.below(30)));
    }
    return vm;
  }
};

TEST(Snapshot, IndexesAfterRandomEditsEqualARebuild) {
  RandomObjects objects(11);
  Snapshot snapshot;
  for (int round = 0; round < 3'000; ++round) {
    const std::vector edits{objects.next()};
    snapshot = snapshot.with(edits, round + 1);
    if (round % 50 != 0) continue;
    std::vector<Snapshot::Stored> stored;
    for (const auto& kind : kinds())
      snapshot.each(kind, [&](const ObjectKey& key, const MessagePtr& object, std::int64_t mod) {
        stored.push_back({key.store_key(), serialize(*object), mod});
        return true;
      });
    const auto rebuilt = Snapshot::load(stored, snapshot.revision(), "x");
    ASSERT_TRUE(rebuilt) << rebuilt.error().text();
    ASSERT_EQ(snapshot.index_dump(), rebuilt->index_dump()) << "round " << round;
  }
  EXPECT_GT(snapshot.index_dump().size(), 50u);
}

v1::VirtualMachine machine(const char* tenant, const char* name, const char* host,
                           const char* address) {
  v1::VirtualMachine vm;
  vm.mutable_metadata()->set_tenant(tenant);
  vm.mutable_metadata()->set_name(name);
  vm.mutable_status()->set_host(host);
  auto& nic = *vm.mutable_spec()->add_nics();
  nic.set_network("net");
  nic.add_addresses(address);
  return vm;
}

TEST(Snapshot, AnOldSnapshotStaysAsItWas) {
  const std::vector edits{
      Edit::put(std::make_shared<v1::VirtualMachine>(machine("t", "a", "h1", "10.0.0.5")))};
  const Snapshot empty;
  const auto one = empty.with(edits, 7);
  EXPECT_EQ(empty.find<v1::VirtualMachine>("t", "a"), nullptr);
  EXPECT_EQ(one.mod_revision(key_of(*edits[0].object)), 7);
  const auto gone = one.with(std::vector{Edit::erase(edits[0].key)}, 8);
  EXPECT_EQ(gone.index_dump().size(), 0u);
  EXPECT_NE(one.find<v1::VirtualMachine>("t", "a"), nullptr);
}

TEST(Snapshot, CountsWhatIsUsedInARange) {
  Snapshot s;
  for (const auto& [name, address] :
       {std::pair("a", "10.0.0.2"), {"b", "10.0.0.3"}, {"c", "10.0.0.9"}, {"d", "10.0.1.0"}})
    s = s.with(std::vector{Edit::put(
                   std::make_shared<v1::VirtualMachine>(machine("t", name, "h1", address)))},
               1);
  const auto ip = [](const char* text) { return *IpAddress::parse(text); };
  EXPECT_EQ(s.addresses_used("t", "net", ip("10.0.0.0"), ip("10.0.0.255")), 3u);
  EXPECT_EQ(s.addresses_used("t", "net", ip("10.0.0.3"), ip("10.0.0.3")), 1u);
  EXPECT_EQ(s.addresses_used("t", "other", ip("10.0.0.0"), ip("10.0.0.255")), 0u);
  EXPECT_EQ(s.vm_count_of_host("h1"), 4u);
  EXPECT_EQ(s.vm_count_of_host("h"), 0u);
}

TEST(Snapshot, NamesDamagedValues) {
  const auto bad = Snapshot::load(
      std::vector<Snapshot::Stored>{{"/penstock/v1/vms/t/a", "\xff\xff", 1}}, 1, "x");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInternal);
  EXPECT_NE(bad.error().message.find("/penstock/v1/vms/t/a"), std::string::npos);
}

TEST(Kinds, AreFoundByEverySpelling) {
  for (const char* word : {"vm", "vms", "VirtualMachine", "virtualmachines", "VM"}) {
    const auto kind = find_kind(word);
    ASSERT_TRUE(kind) << word;
    EXPECT_EQ((*kind)->plural, "vms");
  }
  const auto wrong = find_kind("virtualmachin");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().hint.find("irtual"), std::string::npos);
}

TEST(Kinds, StoreKeysReadBack) {
  const auto key = ObjectKey::of<v1::VirtualMachine>("acme", "web-1");
  EXPECT_EQ(key.store_key(), "/penstock/v1/vms/acme/web-1");
  EXPECT_EQ(*ObjectKey::parse_store_key(key.store_key()), key);
  EXPECT_EQ(*ObjectKey::parse_store_key("/penstock/v1/hosts/-/h1"),
            ObjectKey::of<v1::Host>("", "h1"));
  for (const char* bad : {"/penstock/v1/vms/-/x", "/penstock/v1/hosts/t/h1",
                          "/penstock/v1/nothing/-/x", "/penstock/v1/vms/a/b/c", ""})
    EXPECT_FALSE(ObjectKey::parse_store_key(bad)) << bad;
}

TEST(Selectors, TextReadsBackAndMeansTheSame) {
  const auto selector = parse_selector("role=web,tier in (b,a),!old,env!=test,zone");
  ASSERT_TRUE(selector) << selector.error().text();
  EXPECT_EQ(selector_text(*selector), "!old,env notin (test),role=web,tier in (a,b),zone");
  v1::Metadata m;
  auto& labels = *m.mutable_labels();
  labels["role"] = "web";
  labels["tier"] = "a";
  labels["zone"] = "";
  EXPECT_TRUE(matches(*selector, labels));
  labels["old"] = "";
  EXPECT_FALSE(matches(*selector, labels));
  EXPECT_FALSE(parse_selector("a in b"));
  EXPECT_FALSE(parse_selector("=x"));
  EXPECT_FALSE(parse_selector("a=1,a=2"));
}

}  // namespace
}  // namespace penstock
