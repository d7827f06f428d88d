// Who may do what, as a table: every role on every kind, and the borders between tenants.
#include "server/authorize.h"

#include <gtest/gtest.h>

#include "model/json.h"

namespace penstock {
namespace {

struct Case {
  const char* who;
  const char* object;   // name in kObjects
  const char* allowed;  // of "rcud": read, create, update, delete; "." none
  bool hidden;          // what is refused looks absent
};

std::map<std::string, std::string> objects() {
  return {
      {"tenant", R"({"kind":"Tenant","metadata":{"name":"acme"}})"},
      {"other-tenant", R"({"kind":"Tenant","metadata":{"name":"zeta"}})"},
      {"user", R"({"kind":"User","metadata":{"name":"someone"}})"},
      {"self", R"({"kind":"User","metadata":{"name":"me"}})"},
      {"group", R"({"kind":"Group","metadata":{"name":"strangers"}})"},
      {"own-group", R"({"kind":"Group","metadata":{"name":"ops"}})"},
      {"token", R"({"kind":"Token","metadata":{"name":"t"},"spec":{"user":"someone"}})"},
      {"own-token", R"({"kind":"Token","metadata":{"name":"t"},"spec":{"user":"me"}})"},
      {"host-token", R"({"kind":"Token","metadata":{"name":"t"},"spec":{"host":"h1"}})"},
      {"cluster", R"({"kind":"Cluster","metadata":{"name":"c"}})"},
      {"host", R"({"kind":"Host","metadata":{"name":"h1"}})"},
      {"network", R"({"kind":"VirtualNetwork","metadata":{"name":"n","tenant":"acme"}})"},
      {"other-network", R"({"kind":"VirtualNetwork","metadata":{"name":"n","tenant":"zeta"}})"},
      {"vm",
       R"({"kind":"VirtualMachine","metadata":{"name":"theirs","tenant":"acme"},"spec":{"owner":"user:x"}})"},
      {"own-vm",
       R"({"kind":"VirtualMachine","metadata":{"name":"mine","tenant":"acme"},"spec":{"owner":"user:me"}})"},
      {"group-vm",
       R"({"kind":"VirtualMachine","metadata":{"name":"ours","tenant":"acme"},"spec":{"owner":"group:ops"}})"},
      {"other-vm",
       R"({"kind":"VirtualMachine","metadata":{"name":"v","tenant":"zeta"},"spec":{"owner":"user:me"}})"},
      {"pool",
       R"({"kind":"VmPool","metadata":{"name":"mixed","tenant":"acme"},"spec":{"vms":["mine","theirs"]}})"},
      {"own-pool",
       R"({"kind":"VmPool","metadata":{"name":"allmine","tenant":"acme"},"spec":{"vms":["mine","ours"]}})"},
      {"owned-pool",
       R"({"kind":"VmPool","metadata":{"name":"selecting","tenant":"acme"},"spec":{"owner":"user:me","selector":{"matchLabels":{"role":"web"}}}})"},
      {"foreign-pool",
       R"({"kind":"VmPool","metadata":{"name":"foreign","tenant":"acme"},"spec":{"owner":"user:x","vms":["theirs"]}})"},
      {"owned-network",
       R"({"kind":"VirtualNetwork","metadata":{"name":"ops-net","tenant":"acme"},"spec":{"owner":"group:ops"}})"},
      {"owned-elsewhere",
       R"({"kind":"VirtualNetwork","metadata":{"name":"z-net","tenant":"zeta"},"spec":{"owner":"user:me"}})"},
      {"definition",
       R"({"kind":"ServiceDefinition","metadata":{"name":"d"},"spec":{"vendor":"vend"}})"},
      {"other-definition",
       R"({"kind":"ServiceDefinition","metadata":{"name":"d"},"spec":{"vendor":"else"}})"},
      {"profile", R"({"kind":"ServiceProfile","metadata":{"name":"p"},"spec":{"definition":"d"}})"},
      {"enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","vm":"theirs"}})"},
      {"own-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","vm":"mine"}})"},
      {"nic-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","nic":{"vm":"ours","nic":"eth0"}}})"},
      {"pool-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","pool":"mixed"}})"},
      {"own-pool-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","pool":"allmine"}})"},
      {"network-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","network":"n"}})"},
      {"owned-pool-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","pool":"selecting"}})"},
      {"foreign-pool-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","pool":"foreign"}})"},
      {"owned-network-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","network":"ops-net"}})"},
      {"owned-elsewhere-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"zeta"},"spec":{"profile":"p","network":"z-net"}})"},
      {"absent-network-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"profile":"p","network":"none"}})"},
      {"other-enablement",
       R"({"kind":"Enablement","metadata":{"name":"e","tenant":"zeta"},"spec":{"profile":"p","vm":"v"}})"},
  };
}

const Case kCases[] = {
    // A tenant administrator
    {"tenant-admin", "tenant", "r", false},
    {"tenant-admin", "other-tenant", ".", true},
    {"tenant-admin", "user", ".", true},
    {"tenant-admin", "self", "r", false},
    {"tenant-admin", "group", ".", true},
    {"tenant-admin", "own-group", "r", false},
    {"tenant-admin", "token", ".", true},
    {"tenant-admin", "own-token", "rcd", false},
    {"tenant-admin", "host-token", ".", true},
    {"tenant-admin", "cluster", ".", true},
    {"tenant-admin", "host", ".", true},
    {"tenant-admin", "network", "rcud", false},
    {"tenant-admin", "other-network", ".", true},
    {"tenant-admin", "vm", "rcud", false},
    {"tenant-admin", "own-vm", "rcud", false},
    {"tenant-admin", "other-vm", ".", true},
    {"tenant-admin", "pool", "rcud", false},
    {"tenant-admin", "definition", ".", true},
    {"tenant-admin", "profile", ".", true},
    {"tenant-admin", "enablement", "rcud", false},
    {"tenant-admin", "network-enablement", "rcud", false},
    {"tenant-admin", "other-enablement", ".", true},
    // The owner of some VMs
    {"vm-owner", "tenant", "r", false},
    {"vm-owner", "other-tenant", ".", true},
    {"vm-owner", "user", ".", true},
    {"vm-owner", "own-token", "rcd", false},
    {"vm-owner", "host", ".", true},
    {"vm-owner", "network", "r", false},
    {"vm-owner", "vm", ".", true},
    {"vm-owner", "own-vm", "r", false},
    {"vm-owner", "group-vm", "r", false},
    {"vm-owner", "other-vm", ".", true},
    {"vm-owner", "pool", ".", true},
    {"vm-owner", "own-pool", "r", false},
    {"vm-owner", "definition", ".", true},
    {"vm-owner", "profile", ".", true},
    {"vm-owner", "enablement", ".", true},
    {"vm-owner", "own-enablement", "rcud", false},
    {"vm-owner", "nic-enablement", "rcud", false},
    {"vm-owner", "pool-enablement", "r", false},
    {"vm-owner", "own-pool-enablement", "rcud", false},
    {"vm-owner", "network-enablement", "r", false},
    {"vm-owner", "other-enablement", ".", true},
    // Owners of pools with selectors and of networks enable on them; the pool or network itself
    // stays as the tenant's administrator made it, or they could take in what is not theirs.
    {"vm-owner", "owned-pool", "r", false},
    {"vm-owner", "owned-pool-enablement", "rcud", false},
    {"vm-owner", "foreign-pool", ".", true},
    {"vm-owner", "foreign-pool-enablement", "r", false},
    {"vm-owner", "owned-network", "r", false},
    {"vm-owner", "owned-network-enablement", "rcud", false},
    {"vm-owner", "absent-network-enablement", "r", false},
    {"vm-owner", "owned-elsewhere", ".", true},
    {"vm-owner", "owned-elsewhere-enablement", ".", true},
    // A vendor
    {"vendor", "definition", "rcud", false},
    {"vendor", "other-definition", ".", true},
    {"vendor", "profile", ".", true},
    {"vendor", "tenant", ".", true},
    {"vendor", "vm", ".", true},
    {"vendor", "network", ".", true},
    {"vendor", "enablement", ".", true},
    {"vendor", "host", ".", true},
    // A user without roles
    {"nobody", "tenant", ".", true},
    {"nobody", "vm", ".", true},
    {"nobody", "own-vm", ".", true},
    {"nobody", "own-enablement", ".", true},
    {"nobody", "owned-network", ".", true},
    {"nobody", "owned-network-enablement", ".", true},
    {"vendor", "owned-pool-enablement", ".", true},
    {"nobody", "self", "r", false},
    {"nobody", "own-token", "rcd", false},
    {"nobody", "profile", ".", true},
    {"nobody", "definition", ".", true},
};

Identity identity(std::string_view role) {
  Identity who;
  who.name = "me";
  who.groups = {"ops"};
  if (role == "nobody") return who;
  auto& binding = who.roles.emplace_back();
  binding.set_role(role == "admin"          ? v1::ADMINISTRATOR
                   : role == "tenant-admin" ? v1::TENANT_ADMINISTRATOR
                   : role == "vm-owner"     ? v1::VM_OWNER
                                            : v1::VENDOR);
  if (role == "vendor")
    binding.set_vendor("vend");
  else if (role != "admin")
    binding.set_tenant("acme");
  return who;
}

class Authorize : public ::testing::Test {
 protected:
  Authorize() {
    std::vector<Edit> edits;
    for (const auto& [name, json] : objects()) {
      auto object = decode_object(*parse_json(json), nullptr, {.check_required = false});
      EXPECT_TRUE(object) << name << object.error().text();
      all[name] = MessagePtr(std::move(*object));
      if (!name.ends_with("enablement")) edits.push_back(Edit::put(all[name]));
    }
    snapshot = Snapshot().with(edits, 1);
  }
  Status ask(const Identity& who, Action action, const std::string& name) {
    return authorize(snapshot, who, action, key_of(*all.at(name)), all.at(name).get());
  }
  std::map<std::string, MessagePtr> all;
  Snapshot snapshot;
};

constexpr std::pair<Action, char> kActions[] = {
    {Action::kRead, 'r'}, {Action::kCreate, 'c'}, {Action::kUpdate, 'u'}, {Action::kDelete, 'd'}};

TEST_F(Authorize, Table) {
  for (const auto& one : kCases)
    for (const auto& [action, letter] : kActions) {
      const auto answer = ask(identity(one.who), action, one.object);
      const bool allowed = std::string_view(one.allowed).find(letter) != std::string_view::npos;
      EXPECT_EQ(answer.has_value(), allowed) << one.who << " " << letter << " " << one.object;
      if (allowed || answer || action == Action::kCreate) continue;
      EXPECT_EQ(answer.error().code, one.hidden ? Code::kNotFound : Code::kPermissionDenied)
          << one.who << " " << letter << " " << one.object;
    }
}

TEST_F(Authorize, AdministratorsMayEverythingHostsNothing) {
  Identity host;
  host.kind = Identity::Kind::kHost;
  host.name = "h1";
  for (const auto& [name, object] : all)
    for (const auto& [action, letter] : kActions) {
      EXPECT_TRUE(ask(identity("admin"), action, name)) << name;
      EXPECT_FALSE(ask(host, action, name)) << name;
    }
  EXPECT_TRUE(authorize_session(host, "h1"));
  EXPECT_FALSE(authorize_session(host, "h2"));
  EXPECT_FALSE(authorize_session(identity("admin"), "h1"));
}

TEST_F(Authorize, ForeignAndAbsentLookTheSame) {
  const auto foreign = ask(identity("tenant-admin"), Action::kRead, "other-vm");
  const auto key = ObjectKey::of<v1::VirtualMachine>("zeta", "v");
  const auto absent = authorize(Snapshot(), identity("tenant-admin"), Action::kRead, key, nullptr);
  ASSERT_FALSE(foreign);
  ASSERT_FALSE(absent);
  EXPECT_EQ(foreign.error(), absent.error());
}

}  // namespace
}  // namespace penstock
