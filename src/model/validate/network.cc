#include <fmt/format.h>

#include "model/labels.h"
#include "model/validate/validate.h"

namespace penstock {
namespace {

constexpr int kVniMost = 16'777'215;  // 24 bits
constexpr int kSubnetsMost = 64;

struct Parsed {
  IpPrefix prefix;
  std::string field;
};

// What no network can use: packets to it mean something else on every host.
struct Special {
  const char* prefix;
  const char* what;
};
constexpr Special kSpecial[] = {
    {"0.0.0.0/8", "\"this network\" (RFC 1122 section 3.2.1.3)"},
    {"127.0.0.0/8", "loopback (RFC 1122 section 3.2.1.3)"},
    {"224.0.0.0/4", "multicast (RFC 5771)"},
    {"240.0.0.0/4", "reserved (RFC 1112 section 4)"},
    {"::/64", "unspecified, loopback and embedded IPv4 (RFC 4291 section 2.5)"},
    {"fe80::/10", "link-local (RFC 4291 section 2.5.6): every NIC has such an address anyway"},
    {"ff00::/8", "multicast (RFC 4291 section 2.7)"},
};

void check_special(const IpPrefix& prefix, const std::string& at, Problems& problems) {
  for (const auto& special : kSpecial)
    if (prefix.overlaps(*IpPrefix::parse(special.prefix)))
      return problems.add(
          at, fmt::format("{} overlaps {}: {}", prefix.text(), special.prefix, special.what),
          "for example 10.0.0.0/16 or fd00::/64");
}

void check_gateway(const IpPrefix& prefix, const v1::Subnet& subnet, const std::string& at,
                   Problems& problems) {
  if (subnet.gateway().empty()) return;
  const auto gateway = IpAddress::parse(subnet.gateway());
  if (!gateway) return problems.add(at, gateway.error());
  if (!prefix.contains(*gateway))
    return problems.add(at, fmt::format("{} is outside {}", subnet.gateway(), prefix.text()));
  v1::Subnet bare;
  for (const auto& reserved : reserved_addresses(prefix, bare))
    if (reserved == *gateway)
      problems.add(at, fmt::format("{} is the network or broadcast address of {}", subnet.gateway(),
                                   prefix.text()));
}

std::vector<Parsed> check_subnets(const v1::VirtualNetwork& network, Problems& problems) {
  std::vector<Parsed> out;
  const auto& subnets = network.spec().subnets();
  if (subnets.size() > kSubnetsMost)
    problems.add("spec.subnets",
                 fmt::format("{} subnets: at most {}", subnets.size(), kSubnetsMost));
  for (int i = 0; i < std::min(subnets.size(), kSubnetsMost); ++i) {
    const auto at = field_path("spec.subnets", static_cast<std::size_t>(i));
    const auto prefix = IpPrefix::parse(subnets[i].cidr());
    if (!prefix) {
      problems.add(field_path(at, "cidr"), prefix.error());
      continue;
    }
    check_special(*prefix, field_path(at, "cidr"), problems);
    for (const auto& other : out)
      if (prefix->overlaps(other.prefix))
        problems.add(field_path(at, "cidr"), fmt::format("{} overlaps {} of {}", prefix->text(),
                                                         other.prefix.text(), other.field));
    out.push_back({*prefix, at});
    check_gateway(*prefix, subnets[i], field_path(at, "gateway"), problems);
    for (int d = 0; d < subnets[i].dns_size(); ++d)
      if (const auto dns = IpAddress::parse(subnets[i].dns(d)); !dns)
        problems.add(field_path(field_path(at, "dns"), static_cast<std::size_t>(d)), dns.error());
  }
  return out;
}

// NICs that are there must keep valid addresses. By counting, so that it costs O(subnets log n).
void check_users(const v1::VirtualNetwork& network, const std::vector<Parsed>& subnets,
                 const ValidateContext& context, Problems& problems) {
  const auto& tenant = network.metadata().tenant();
  const auto& name = network.metadata().name();
  IpAddress low{}, high{};
  high.family = Family::kV6;
  high.bytes.fill(0xff);
  const auto all = context.snapshot.addresses_used(tenant, name, low, high);
  std::size_t inside = 0;
  for (const auto& subnet : subnets)
    inside +=
        context.snapshot.addresses_used(tenant, name, subnet.prefix.address, subnet.prefix.last());
  if (inside != all)
    problems.add("spec.subnets",
                 fmt::format("{} address{} in use would be in no subnet", all - inside,
                             all - inside == 1 ? "" : "es"),
                 "move or delete those VMs first");
  for (int i = 0; i < network.spec().subnets_size(); ++i) {
    const auto prefix = IpPrefix::parse(network.spec().subnets(i).cidr());
    if (!prefix) continue;
    for (const auto& reserved : reserved_addresses(*prefix, network.spec().subnets(i)))
      if (const auto port = context.snapshot.address_user(tenant, name, reserved)) {
        const auto nic = context.snapshot.nic_of_port(port);
        problems.add(field_path("spec.subnets", static_cast<std::size_t>(i)),
                     fmt::format("{} is in use by VM {}", reserved.text(), nic ? nic->vm : "?"));
      }
  }
}

}  // namespace

void validate(const v1::VirtualNetwork& network, const ValidateContext& context,
              Problems& problems) {
  const auto& spec = network.spec();
  if (spec.vni() < 0 || spec.vni() > kVniMost) {
    problems.add("spec.vni", fmt::format("{} is not a VNI", spec.vni()),
                 "1 to 16777215; 0: the server gives a free one");
  } else if (spec.vni() != 0) {
    const auto* before = context.before<v1::VirtualNetwork>();
    const auto user = context.snapshot.network_of_vni(static_cast<std::uint32_t>(spec.vni()));
    if (!before && !context.admit.user_is_administrator)
      // Trying them out would tell which ones other tenants have.
      problems.add("spec.vni", "only an administrator chooses a VNI",
                   "leave it out to be given a free one");
    else if (before && before->spec().vni() != spec.vni())
      problems.add("spec.vni",
                   fmt::format("may not change after creation (it is {})", before->spec().vni()));
    else if (!before && user)
      // Not whose: another tenant's names are not for this one to see.
      problems.add("spec.vni", fmt::format("{} is in use", spec.vni()),
                   "leave it out to be given a free one");
  }
  if (spec.mtu() != 0 && (spec.mtu() < 576 || spec.mtu() > 9000))
    problems.add("spec.mtu", fmt::format("{} is out of range", spec.mtu()),
                 "576 to 9000; 0: what the underlay leaves");
  if (!spec.virtual_switch().empty())
    check_name(spec.virtual_switch(), problems, "spec.virtualSwitch");
  const auto* existing = context.before<v1::VirtualNetwork>();
  check_owner(spec.owner(), existing ? existing->spec().owner() : "", context.snapshot, problems);
  const auto subnets = check_subnets(network, problems);
  for (const auto& subnet : subnets)
    if (subnet.prefix.address.family == Family::kV6 && spec.mtu() != 0 && spec.mtu() < 1280)
      problems.add(
          "spec.mtu",
          fmt::format("{} is too small for the IPv6 subnet {}", spec.mtu(), subnet.prefix.text()),
          "at least 1280 (RFC 8200 section 5)");
  if (context.existing && !problems.any()) check_users(network, subnets, context, problems);
}

}  // namespace penstock
