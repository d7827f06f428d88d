// Admission with the real step kinds: what is refused and how, what is given out.
#include "model/admit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compile/intent.h"
#include "model/availability.h"
#include "model/testing/world.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using testing::figure1;
using ::testing::HasSubstr;
using testing::World;

class AdmitTest : public ::testing::Test {
 protected:
  const StepKinds kinds_ = standard_step_kinds();
  World world_{kinds_};

  void SetUp() override {
    const auto status = world_.put(figure1());
    ASSERT_TRUE(status) << status.error().text();
  }
  Error refused(std::string_view json) {
    const auto revision = world_.now().revision();
    const auto status = world_.put(json);
    EXPECT_FALSE(status) << "was admitted: " << json;
    EXPECT_EQ(world_.now().revision(), revision);
    return status ? Error{} : status.error();
  }
  std::vector<std::string> fields(std::string_view json) {
    std::vector<std::string> out;
    for (const auto& detail : refused(json).details) out.push_back(detail.field);
    return out;
  }
  void put(std::string_view json) {
    const auto status = world_.put(json);
    ASSERT_TRUE(status) << status.error().text();
  }
  std::shared_ptr<const v1::VirtualMachine> vm(const char* name) {
    return world_.now().find<v1::VirtualMachine>("acme", name);
  }
};

TEST_F(AdmitTest, GivesNumbersAddressesAndPlaces) {
  const auto& nic = vm("web-1")->spec().nics(0);
  EXPECT_EQ(nic.port_id(), 1u);
  EXPECT_EQ(nic.mac(), "02:00:00:00:00:01");
  EXPECT_THAT(nic.addresses(), ElementsAre("10.0.1.2", "fd00:1::2"));
  EXPECT_THAT(vm("web-2")->spec().nics(0).addresses(), ElementsAre("10.0.1.3", "fd00:1::3"));
  EXPECT_EQ(vm("db-1")->spec().nics(0).mac(), "02:aa:00:00:00:01");
  EXPECT_EQ(host_of(*vm("spare")), "");
  EXPECT_EQ(host_of(*world_.now().find<v1::VirtualMachine>("globex", "app-1")), "h2")
      << "h1 has two, h2 one";
  EXPECT_EQ(world_.now().find<v1::VirtualNetwork>("acme", "net-blue")->spec().vni(), 1);
  EXPECT_EQ(world_.now().find<v1::VirtualNetwork>("acme", "net-blue")->status().mtu(), 1450);
}

TEST_F(AdmitTest, TheSameAgainIsUnchangedAndPortNumbersAreNeverReused) {
  const auto revision = world_.now().revision();
  put(figure1());
  EXPECT_EQ(world_.now().revision(), revision);
  const auto counter = world_.now().counter("port-id");
  ASSERT_TRUE(world_.erase(ObjectKey::of<v1::VirtualMachine>("acme", "web-1"), false));
  put(R"({"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "web-1"}, "spec": {"nics": [{"name": "eth0", "network": "net-blue"}]}})");
  EXPECT_EQ(vm("web-1")->spec().nics(0).port_id(), counter + 1);
  EXPECT_EQ(vm("web-1")->spec().nics(0).addresses(0), "10.0.1.2") << "the lowest free one";
}

TEST_F(AdmitTest, FillsASubnetToTheLastAddress) {
  put(R"({"kind": "VirtualNetwork", "metadata": {"tenant": "acme", "name": "tiny"}, "spec": {"subnets": [{"cidr": "10.5.0.0/29", "gateway": "10.5.0.3"}]}})");
  std::vector<std::string> given;
  for (int i = 0; i < 5; ++i) {
    put(R"({"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "t)" +
        std::to_string(i) + R"("}, "spec": {"nics": [{"name": "eth0", "network": "tiny"}]}})");
    given.push_back(vm(("t" + std::to_string(i)).c_str())->spec().nics(0).addresses(0));
  }
  EXPECT_THAT(given, ElementsAre("10.5.0.1", "10.5.0.2", "10.5.0.4", "10.5.0.5", "10.5.0.6"));
  EXPECT_EQ(
      refused(
          R"({"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "t9"}, "spec": {"nics": [{"name": "eth0", "network": "tiny"}]}})")
          .code,
      Code::kResourceExhausted);
}

TEST_F(AdmitTest, NamesAllThatIsWrongWithAMachine) {
  EXPECT_THAT(
      fields(
          R"({"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "Bad_Name", "labels": {"a b": "c"}}, "spec": {
    "nics": [{"name": "eth0", "network": "net-blue", "mac": "02:aa:00:00:00:01", "addresses": ["10.0.1.50", "10.0.1.1", "10.0.1.255", "10.2.0.1", "x"]},
             {"name": "eth0", "network": "net-bleu"}], "placement": {"host": "h9"}, "owner": "nobody"}})"),
      ElementsAre("metadata.name", "metadata.labels.a b", "spec.nics[0].mac",
                  "spec.nics[0].addresses[0]", "spec.nics[0].addresses[1]",
                  "spec.nics[0].addresses[2]", "spec.nics[0].addresses[3]",
                  "spec.nics[0].addresses[4]", "spec.nics[1].name", "spec.nics[1].network",
                  "spec.placement.host", "spec.owner"));
}

TEST_F(AdmitTest, NetworksMayNotOverlapClashOrStrandAddresses) {
  EXPECT_THAT(
      fields(
          R"({"kind": "VirtualNetwork", "metadata": {"tenant": "acme", "name": "n"}, "spec": {"vni": 700, "mtu": 1000,
    "subnets": [{"cidr": "10.0.0.0/16"}, {"cidr": "10.0.3.0/24", "gateway": "10.0.4.1"}, {"cidr": "10.1.0.1/24"}, {"cidr": "fd00::/64"}]}})"),
      ElementsAre("spec.vni", "spec.subnets[1].cidr", "spec.subnets[1].gateway",
                  "spec.subnets[2].cidr", "spec.mtu"));
  const auto stranded = refused(
      R"({"kind": "VirtualNetwork", "metadata": {"tenant": "acme", "name": "net-blue"}, "spec": {"subnets": [{"cidr": "10.0.1.0/27"}]}})");
  ASSERT_EQ(stranded.details.size(), 1u);
  EXPECT_THAT(stranded.details[0].message, HasSubstr("4 addresses in use"));
}

TEST_F(AdmitTest, RulesAreJudgedByMeaning) {
  EXPECT_THAT(
      fields(
          R"({"kind": "ServiceDefinition", "metadata": {"name": "bad"}, "spec": {"vendor": "v", "serviceName": "s", "version": "1",
    "levels": [{"name": "a"}, {"name": "a"}], "insertionPoint": "REMOTE", "filter": {"rules": [
      {"action": "ALLOW", "ports": ["22"]},
      {"action": "ALLOW", "protocols": ["tcp"], "ports": ["22-8"]},
      {"action": "ALLOW", "protocols": ["tcp"], "icmp": [{"type": 8}]},
      {"action": "DENY", "from": [{"cidr": "10.0.0.0/8", "self": true}, {}]},
      {"action": "DENY", "from": [{"cidr": "10.0.0.0/8"}], "to": [{"cidr": "fd00::/8"}]},
      {"action": "DENY", "protocols": ["tcp"], "tcpFlags": {"mask": ["syn"], "set": ["ack"]}},
      {"action": "DENY", "to": [{"cidr": "${nowhere}"}]}]}}})"),
      ElementsAre("spec.levels[1].name", "spec.insertionPoint", "spec.filter.rules[0].ports",
                  "spec.filter.rules[1].ports[0]", "spec.filter.rules[2].icmp",
                  "spec.filter.rules[3].from[0]", "spec.filter.rules[3].from[1]",
                  "spec.filter.rules[4]", "spec.filter.rules[5].tcpFlags.set",
                  "spec.filter.rules[6].to[0].cidr"));
}

TEST_F(AdmitTest, ABadValueIsRefusedAtTheProfile) {
  EXPECT_THAT(
      fields(
          R"({"kind": "ServiceProfile", "metadata": {"name": "p"}, "spec": {"definition": "firewall", "parameters": {"ports": ["22-8"], "prots": 1, "others": "10.0.0.0/33"}}})"),
      ElementsAre("spec.parameters.others", "spec.parameters.ports[0]", "spec.parameters.prots"));
  EXPECT_THAT(
      fields(
          R"({"kind": "ServiceProfile", "metadata": {"name": "p"}, "spec": {"definition": "firewall", "parameters": {"tier": "not a label"}}})"),
      ElementsAre("spec.parameters.tier"));
  EXPECT_THAT(
      fields(
          R"({"kind": "ServiceProfile", "metadata": {"name": "p"}, "spec": {"definition": "firewall",
      "levels": [{"name": "strict", "parameters": {"others": "0.0.0.0/0"}}, {"name": "stritc"}], "availability": {"allow": {"vms": ["web-1", "acme/nobody"]}}}})"),
      ElementsAre("spec.availability.allow.vms[0]", "spec.availability.allow.vms[1]",
                  "spec.levels[1].name", "spec.levels[0].parameters.others"));
}

TEST_F(AdmitTest, AModeWithoutStepKindIsStoredButNotPublished) {
  put(R"({"kind": "ServiceDefinition", "metadata": {"name": "ips"}, "spec": {"vendor": "v", "serviceName": "s", "version": "1", "levels": [{"name": "gold"}],
    "endpoints": [{"name": "box", "address": "192.0.2.1"}], "inline": {"attachment": "TWO_ARM", "endpoints": ["box"]}}}
---
{"kind": "ServiceProfile", "metadata": {"name": "ips"}, "spec": {"definition": "ips", "availability": {"everyone": true}}})");
  const auto error = refused(
      R"({"kind": "ServiceProfile", "metadata": {"name": "ips"}, "spec": {"definition": "ips", "availability": {"everyone": true}, "published": true}})");
  EXPECT_EQ(error.code, Code::kUnimplemented);
  EXPECT_THAT(error.message, HasSubstr("mode inline"));
}

TEST_F(AdmitTest, EnablingIsRefusedWithTheReason) {
  const auto enable = [](const std::string& tenant, const std::string& rest) {
    return R"({"kind": "Enablement", "metadata": {"tenant": ")" + tenant +
           R"("}, "spec": {"profile": "office-firewall", )" + rest + "}}";
  };
  EXPECT_THAT(refused(enable("globex", R"("vm": "app-1")")).message,
              HasSubstr("not available to tenant globex"));
  EXPECT_THAT(refused(enable("acme", R"("vm": "web-9")")).details[0].hint, HasSubstr("web-"));
  EXPECT_THAT(refused(enable("acme", R"("vm": "web-1", "level": "strcit")")).details[0].hint,
              HasSubstr("strict"));
  put(enable("acme", R"("vm": "web-1")"));
  const auto revision = world_.now().revision();
  put(enable("acme", R"("vm": "web-1")"));
  EXPECT_EQ(world_.now().revision(), revision) << "twice is once";
  const auto other = refused(
      R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "other"}, "spec": {"profile": "office-firewall", "vm": "web-1"}})");
  EXPECT_EQ(other.code, Code::kAlreadyExists);
  EXPECT_EQ(
      refused(
          R"({"kind": "ServiceProfile", "metadata": {"name": "office-firewall"}, "spec": {"definition": "firewall"}})")
          .code,
      Code::kFailedPrecondition);
  const auto e = world_.now().find<v1::Enablement>("acme", "office-firewall-vm-web-1");
  ASSERT_TRUE(e);
  EXPECT_EQ(e->spec().level(), "basic");
  EXPECT_EQ(e->spec().definition_version(), "1.0");
}

TEST_F(AdmitTest, AvailabilityTakesEveryScope) {
  const auto why = [&](const char* availability, const char* vm_name) {
    put(std::string(
            R"({"kind": "ServiceProfile", "metadata": {"name": "q"}, "spec": {"definition": "guard", "availability": )") +
        availability + "}}");
    Subject subject;
    subject.tenant = "acme";
    subject.user_groups = {"ops"};
    subject.vm = vm(vm_name);
    return why_not_available(world_.now(), *world_.now().find<v1::ServiceProfile>("q"), subject)
        .text;
  };
  put(R"({"kind": "Group", "metadata": {"name": "dev"}})");
  EXPECT_NE(why("{}", "web-1"), "");
  EXPECT_EQ(why(R"({"everyone": true})", "web-1"), "");
  EXPECT_EQ(
      why(R"({"allow": {"hosts": ["h1"], "pools": ["acme/web"], "networks": ["acme/net-blue"]}})",
          "web-1"),
      "");
  EXPECT_NE(why(R"({"allow": {"hosts": ["h1"], "pools": ["acme/web"]}})", "web-2"), "");
  EXPECT_NE(why(R"({"allow": {"pools": ["acme/web"]}})", "db-1"), "");
  EXPECT_NE(why(R"({"allow": {"groups": ["dev"]}})", "web-1"), "");
  EXPECT_NE(
      why(R"({"everyone": true, "except": {"vmLabels": {"matchLabels": {"role": "db"}}}})", "db-1"),
      "");
  EXPECT_NE(why(R"({"everyone": true, "except": {"clusters": ["blue"]}})", "web-1"), "");
  EXPECT_EQ(why(R"({"allow": {"vms": ["acme/db-1"]}})", "db-1"), "");
}

TEST_F(AdmitTest, WhatIsInUseIsNotDeletedUnlessAsked) {
  put(R"({"kind": "Enablement", "metadata": {"tenant": "acme", "name": "e"}, "spec": {"profile": "office-firewall", "pool": "web"}}
---
{"kind": "VmPool", "metadata": {"tenant": "acme", "name": "named"}, "spec": {"vms": ["web-1", "db-1"]}})");
  const auto status = world_.erase(ObjectKey::of<v1::ServiceDefinition>("", "firewall"), false);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().details[0].message, "used by ServiceProfile office-firewall");
  ASSERT_TRUE(world_.erase(ObjectKey::of<v1::ServiceDefinition>("", "firewall"), true));
  EXPECT_EQ(world_.now().find<v1::Enablement>("acme", "e"), nullptr);
  EXPECT_EQ(world_.last_edits().size(), 3u);
  EXPECT_FALSE(world_.erase(ObjectKey::of<v1::VirtualMachine>("acme", "web-1"), false));
  ASSERT_TRUE(world_.erase(ObjectKey::of<v1::VirtualMachine>("acme", "web-1"), true));
  EXPECT_THAT(world_.now().find<v1::VmPool>("acme", "named")->spec().vms(), ElementsAre("db-1"));
  EXPECT_FALSE(world_.erase(ObjectKey::of<v1::Host>("", "h1"), true)) << "VMs run there";
  ASSERT_TRUE(world_.erase(ObjectKey::of<v1::Tenant>("", "acme"), true));
  EXPECT_TRUE(world_.now().nics_of_network("acme", "net-blue").empty());
}

TEST_F(AdmitTest, StaleVersionsAndForeignFieldsDoNotGetIn) {
  EXPECT_EQ(
      refused(R"({"kind": "Tenant", "metadata": {"name": "acme", "resourceVersion": "1"}})").code,
      Code::kConflict);
  v1::VirtualMachine mine;
  mine.mutable_metadata()->set_name("x");
  mine.mutable_metadata()->set_tenant("acme");
  mine.mutable_metadata()->set_uid("chosen");
  mine.mutable_status()->set_host("h9");
  auto& nic = *mine.mutable_spec()->add_nics();
  nic.set_name("eth0");
  nic.set_network("net-blue");
  nic.set_port_id(1);
  const auto admission = world_.put(mine);
  ASSERT_TRUE(admission) << admission.error().text();
  EXPECT_NE(vm("x")->metadata().uid(), "chosen");
  EXPECT_NE(host_of(*vm("x")), "h9");
  EXPECT_NE(vm("x")->spec().nics(0).port_id(), 1u);
}

TEST_F(AdmitTest, ASubmittedVersionIsFinal) {
  const std::string draft =
      R"({"kind": "ServiceDefinition", "metadata": {"name": "d"}, "spec": {"vendor": "v", "serviceName": "s", "version": "1", "draft": true}})";
  put(draft);
  EXPECT_EQ(
      refused(
          R"({"kind": "ServiceProfile", "metadata": {"name": "p"}, "spec": {"definition": "d"}})")
          .code,
      Code::kFailedPrecondition);
  EXPECT_THAT(
      fields(
          R"({"kind": "ServiceDefinition", "metadata": {"name": "guard"}, "spec": {"vendor": "example", "serviceName": "Guard", "version": "2",
    "levels": [{"name": "only"}], "filter": {"rules": []}}})"),
      ElementsAre("spec.version"));
}

TEST_F(AdmitTest, InstructionsThatNobodyCarriesOutYetAreSaidToHaveNoEffect) {
  auto definition = *world_.now().find<v1::ServiceDefinition>("guard");
  definition.mutable_metadata()->clear_resource_version();
  definition.mutable_spec()->set_version("with-instructions");
  definition.mutable_spec()->mutable_network()->add_dns("10.0.1.53");
  const auto admitted = world_.put(definition);
  ASSERT_TRUE(admitted) << admitted.error().text();
  EXPECT_THAT(admitted->warnings, ElementsAre(HasSubstr("spec.network says has no effect")));
  definition.mutable_spec()->set_version("without");
  definition.mutable_spec()->clear_network();
  EXPECT_THAT(world_.put(definition)->warnings, ::testing::IsEmpty());
}

}  // namespace
}  // namespace penstock
