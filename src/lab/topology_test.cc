#include "lab/topology.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lab/check.h"
#include "lab/folder.h"
#include "lab/form.h"

namespace penstock::lab {
namespace {

Result<Topology> read(const std::string& text) {
  // Of this process: tests run beside each other.
  const auto path = fmt::format("{}topology_test-{}.yaml", testing::TempDir(), getpid());
  std::ofstream(path) << text;
  return read_topology(path);
}

TEST(Topology, CountsAndAddressesAreGivenOut) {
  const auto topology = read(R"(
kind: Lab
name: many
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: 198.51.100.0/24}]
hosts:
  - {name: h, count: 3, network: a, cluster: c1}
  - {name: far, network: b}
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
    vms: [{name: web-, count: 2, network: blue, labels: {role: web}}]
)");
  ASSERT_TRUE(topology) << topology.error().text();
  ASSERT_EQ(topology->hosts.size(), 4u);
  EXPECT_EQ(topology->server.address().text(), "192.0.2.2");
  EXPECT_EQ(topology->hosts[2].name, "h3");
  EXPECT_EQ(topology->hosts[2].address().text(), "192.0.2.5");
  EXPECT_EQ(topology->hosts[3].address().text(), "198.51.100.2");
  ASSERT_EQ(topology->objects.size(), 4u);
  EXPECT_EQ(topology->objects[3]["metadata"]["name"], "web-2");
}

TEST(Topology, AllProblemsAtOnceWithTheirPlaces) {
  const auto bad = read(R"(name: Bad Name
networks:
  - {name: a, subnet: 192.0.2.0/24}
  - {name: b, subnet: 192.0.2.128/25, extra: 1}
hosts: [{name: h1, network: nowhere}]
)");
  ASSERT_FALSE(bad);
  const auto text = bad.error().text();
  EXPECT_NE(text.find(":1:7  name"), std::string::npos) << text;
  EXPECT_NE(text.find("networks[1].extra: unknown field"), std::string::npos) << text;
  EXPECT_NE(text.find("2 problems"), std::string::npos) << text;
}

TEST(Topology, MeaningIsCheckedOnceTheFormIsRight) {
  const auto bad = read(R"(name: bad
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: 192.0.2.128/25}]
hosts: [{name: h1, network: nowhere}, {name: h1}, {name: router}]
)");
  ASSERT_FALSE(bad);
  const auto text = bad.error().text();
  for (const auto* wanted : {"overlaps with that of a", "no physical network \"nowhere\"",
                             "\"h1\" is taken", "\"router\" is taken"})
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << " in " << text;
}

TEST(Topology, ANetworkThatIsTooSmallIsRefused) {
  const auto bad = read(
      "name: small\nnetworks: [{name: a, subnet: 192.0.2.0/30}]\nhosts: [{name: h, count: 2}]\n");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().text().find("no address left"), std::string::npos);
}

TEST(Topology, UplinksSwitchesDevicesAndLinks) {
  const auto topology = read(R"(
name: rich
networks: [{name: a, subnet: 192.0.2.0/24, mtu: 9000}, {name: b, subnet: "2001:db8::/64"}]
routers: [{name: r1, networks: [a, b]}]
hosts: [{name: h1, uplinks: [{network: a}, {network: b, switch: fast}]}]
remotes: [{name: cloud, networks: [a, b], commands: [ip link], run: sleep 1}]
devices: [{name: printer, behind: h1, interface: nic7}, {name: scanner, network: b}]
links:
  - {link: h1-a, loss: 1%, delay: 20ms}
  - {link: h1-a, loss: 2%, direction: in}
  - {link: b-scanner, rate: 10mbit}
)");
  ASSERT_TRUE(topology) << topology.error().text();
  const auto& h1 = topology->hosts.front();
  ASSERT_EQ(h1.attachments.size(), 2u);
  EXPECT_EQ(h1.attachments[1].device, "eth1");
  EXPECT_EQ(h1.attachments[1].virtual_switch, "fast");
  EXPECT_EQ(h1.attachments[0].virtual_switch, "default");
  EXPECT_EQ(topology->networks[0].mtu, 9000);
  EXPECT_EQ(topology->devices[0].behind, "h1");
  EXPECT_EQ(topology->devices[0].interface, "nic7");
  ASSERT_EQ(topology->links.size(), 2u);
  EXPECT_EQ(topology->links[0].impairments.text(),
            "in: loss 2%, delay 20ms; out: loss 1%, delay 20ms");
  EXPECT_EQ(topology->links[1].link, "scanner-b");
  ASSERT_TRUE(topology->find_link("scanner"));
  EXPECT_FALSE(topology->find_link("h1"));  // it has two
}

TEST(Topology, ProblemsOfLinksAndDevicesHavePlaceAndHint) {
  const auto bad = read(R"(name: bad
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h1}]
devices: [{name: printer, behind: h2}]
links:
  - {link: h1-b, loss: 1%}
  - {link: h1-a, loss: 1, jitter: 5ms}
)");
  ASSERT_FALSE(bad);
  const auto text = bad.error().text();
  for (const auto* wanted :
       {"4:35  devices[0].behind: there is no host \"h2\"",
        ":6:12  links[0].link: there is no link \"h1-b\"", "did you mean \"h1-a\"",
        ":7:24  links[1].loss: \"1\" is not a share", "links[1].jitter", "4 problems"})
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << " in " << text;
}

TEST(Topology, TwoLinksOfOneNameAreRefused) {
  const auto bad = read(R"(name: bad
networks: [{name: b-c, subnet: 192.0.2.0/24}, {name: c, subnet: 198.51.100.0/24}]
hosts: [{name: a, network: b-c}, {name: a-b, network: c}]
)");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().text().find("two links would be called a-b-c"), std::string::npos)
      << bad.error().text();
}

TEST(Topology, SubnetsAreTextOrAsInAVirtualNetwork) {
  const auto topology = read(R"(
name: both
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h1}]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24, {cidr: 10.0.1.0/24, gateway: 10.0.1.1}]}]
)");
  ASSERT_TRUE(topology) << topology.error().text();
  const auto& subnets = topology->objects[1]["spec"]["subnets"];
  EXPECT_EQ(subnets[0].dump(), R"({"cidr":"10.0.0.0/24"})");
  EXPECT_EQ(subnets[1].dump(), R"({"cidr":"10.0.1.0/24","gateway":"10.0.1.1"})");
  EXPECT_TRUE(check_objects(*topology));

  const auto bad = read(R"(
name: both
networks: [{name: a, subnet: {cidr: 192.0.2.0/24}}]
hosts: [{name: h1}]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [7, {cdir: 10.0.1.0/24}]}]
)");
  ASSERT_FALSE(bad);
  for (const auto* wanted : {"text was expected, not a mapping", "text or a mapping was expected",
                             "did you mean \"cidr\""})
    EXPECT_NE(bad.error().text().find(wanted), std::string::npos) << bad.error().text();
}

TEST(Topology, ObjectsAreJudgedBeforeAnythingStartsWithTheirPlaces) {
  const auto file = testing::TempDir() + "topology_test_objects.yaml";
  std::ofstream(file) << "kind: VmPool\nmetadata: {name: all, tenant: acme}\nspec: {vms: [wbe]}\n";
  const auto topology = read(R"(name: bad
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h1}, {name: h2}]
tenants:
  - name: acme
    networks:
      - {name: blue, subnets: [10.0.0.0/24]}
      - {name: red, subnets: [10.0.1.0/40]}
    vms:
      - {name: web, network: blue, host: k9}
      - {name: db-, count: 3, network: bleu}
      - {name: cache, network: red}
objects:
  - kind: User
    metadata: {name: alice}
    spec: {displayNam: Alice}
  - kind: VirtualMachine
    metadata: {name: far, tenant: acne}
    spec: {nics: [{name: eth0, network: blue}]}
objectFiles: [topology_test_objects.yaml]
)");
  ASSERT_TRUE(topology) << topology.error().text();
  const auto bad = check_objects(*topology);
  unlink(file.c_str());
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalidArgument);
  const auto text = bad.error().text();
  for (const auto* wanted : {
           ":8:31  VirtualNetwork/acme/red  tenants[0].networks[1].subnets[0].cidr",
           ":10:42  VirtualMachine/acme/web  tenants[0].vms[0].host: there is no Host \"k9\"",
           "hosts: h1, h2",
           ":11:40  VirtualMachine/acme/db-1  tenants[0].vms[1].network: there is no "
           "VirtualNetwork \"bleu\" in tenant acme (did you mean \"blue\"?)",
           ":16:12  User/alice  objects[0].spec.displayNam: unknown field",
           "VirtualMachine/acne/far  objects[1].metadata.tenant: there is no Tenant \"acne\"",
           "topology_test_objects.yaml:3:14  VmPool/acme/all  spec.vms[0]",
           "nothing was started",
       })
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << " in\n" << text;
  // One line of the file, one problem; and no second one about the network that was refused.
  EXPECT_EQ(text.find("db-2"), std::string::npos) << text;
  EXPECT_EQ(text.find("cache"), std::string::npos) << text;
}

TEST(Topology, AFileOfObjectsIsNoTopology) {
  const auto bad = read("kind: Tenant\nmetadata: {name: acme}\n");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("is no topology of a lab but a Tenant"), std::string::npos);
  EXPECT_TRUE(bad.error().hint.starts_with("penstock apply -f ")) << bad.error().hint;
}

TEST(Topology, NamesOfLabsAreNamesOfFoldersToo) {
  EXPECT_TRUE(check_lab_name("figure1"));
  for (const auto* name : {"", "..", "a/b", "-a", "Upper"}) {
    EXPECT_FALSE(check_lab_name(name)) << name;
  }
  EXPECT_FALSE(check_lab_name(std::string(33, 'a')));
  // What `down` would remove.
  for (const auto* name : {"", ".", "..", "../.."}) EXPECT_FALSE(Folder(name).exists()) << name;
}

TEST(Topology, EveryExampleIsGood) {
  for (const auto& entry : std::filesystem::directory_iterator(PENSTOCK_SOURCE_DIR "/examples"))
    if (entry.path().extension() == ".yaml") {
      const auto topology = read_topology(entry.path());
      ASSERT_TRUE(topology) << topology.error().text();
      const auto objects = check_objects(*topology);
      EXPECT_TRUE(objects) << objects.error().text();
    }
}

}  // namespace
}  // namespace penstock::lab
