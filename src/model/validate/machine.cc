// Virtual machines and pools of them.
#include <algorithm>

#include <fmt/format.h>

#include "model/labels.h"
#include "model/validate/validate.h"

namespace penstock {
namespace {

constexpr int kNicsMost = 16;
constexpr int kAddressesMost = 64;
constexpr int kPoolNamesMost = 10'000;

class NicCheck {
 public:
  NicCheck(const v1::VirtualMachine& vm, const ValidateContext& context, Problems& problems)
      : vm_(vm), snapshot_(context.snapshot), problems_(problems) {}

  void operator()(const v1::Nic& nic, const std::string& at) {
    check_name(nic.name(), problems_, field_path(at, "name"));
    check_unique(names_, nic.name(), problems_, field_path(at, "name"));
    const auto& tenant = vm_.metadata().tenant();
    if (!check_exists<v1::VirtualNetwork>(snapshot_, tenant, nic.network(), problems_,
                                          field_path(at, "network")))
      return;
    const auto network = snapshot_.find<v1::VirtualNetwork>(tenant, nic.network());
    if (!nic.mac().empty()) mac(nic, field_path(at, "mac"));
    if (nic.addresses_size() > kAddressesMost)
      problems_.add(field_path(at, "addresses"),
                    fmt::format("{} addresses: at most {}", nic.addresses_size(), kAddressesMost));
    for (int i = 0; i < std::min(nic.addresses_size(), kAddressesMost); ++i)
      address(nic, nic.addresses(i), *network,
              field_path(field_path(at, "addresses"), static_cast<std::size_t>(i)));
  }

 private:
  const v1::VirtualMachine& vm_;
  const Snapshot& snapshot_;
  Problems& problems_;
  std::set<std::string> names_, used_;

  // Which other VM has it, as text; empty: free or this VM's own.
  std::string other(std::uint32_t port) {
    const auto nic = port ? snapshot_.nic_of_port(port) : std::nullopt;
    return !nic || nic->vm == vm_.metadata().name() ? "" : nic->vm;
  }

  void mac(const v1::Nic& nic, const std::string& at) {
    const auto mac = Mac::parse(nic.mac());
    if (!mac) return problems_.add(at, mac.error());
    if (mac->multicast() || *mac == Mac{})
      return problems_.add(at, fmt::format("{} is not a unicast address", nic.mac()));
    check_unique(used_, nic.network() + " " + mac->text(), problems_, at);
    if (const auto vm = other(snapshot_.mac_user(vm_.metadata().tenant(), nic.network(), *mac));
        !vm.empty())
      problems_.add(
          at, fmt::format("{} is the MAC of VM {} in network {}", mac->text(), vm, nic.network()));
  }

  void address(const v1::Nic& nic, const std::string& text, const v1::VirtualNetwork& network,
               const std::string& at) {
    const auto address = IpAddress::parse(text);
    if (!address) return problems_.add(at, address.error());
    check_unique(used_, nic.network() + " " + address->text(), problems_, at);
    const v1::Subnet* home = nullptr;
    std::vector<std::string> cidrs;
    for (const auto& subnet : network.spec().subnets()) {
      const auto prefix = IpPrefix::parse(subnet.cidr());
      if (!prefix) continue;
      cidrs.push_back(subnet.cidr());
      if (!prefix->contains(*address)) continue;
      home = &subnet;
      if (text == subnet.gateway() || IpAddress::parse(subnet.gateway()) == *address) {
        problems_.add(at, fmt::format("{} is the gateway of {}", text, subnet.cidr()));
      } else {
        const auto reserved = reserved_addresses(*prefix, subnet);
        if (std::ranges::find(reserved, *address) != reserved.end())
          problems_.add(
              at, fmt::format("{} is the network or broadcast address of {}", text, subnet.cidr()));
      }
    }
    if (!home)
      problems_.add(at, fmt::format("{} is in no subnet of network {}", text, nic.network()),
                    cidrs.empty() ? "the network has no subnets"
                                  : fmt::format("its subnets: {}", fmt::join(cidrs, ", ")));
    if (const auto vm =
            other(snapshot_.address_user(vm_.metadata().tenant(), nic.network(), *address));
        !vm.empty())
      problems_.add(at, fmt::format("{} is in use by VM {}", text, vm));
  }
};

void check_placement(const v1::VirtualMachine& vm, const ValidateContext& context,
                     Problems& problems) {
  const auto& place = vm.spec().placement();
  // Without "did you mean": hosts and clusters are not for tenants to see.
  const auto nowhere = [&](const char* field, std::string_view kind, const std::string& name) {
    problems.add(field, fmt::format("there is no {} \"{}\"", kind, name.substr(0, 80)));
  };
  if (!place.cluster().empty() && !context.snapshot.find<v1::Cluster>(place.cluster()))
    nowhere("spec.placement.cluster", "Cluster", place.cluster());
  if (place.host().empty()) return;
  if (!context.snapshot.find<v1::Host>(place.host()))
    return nowhere("spec.placement.host", "Host", place.host());
  const auto host = context.snapshot.find<v1::Host>(place.host());
  if (!place.cluster().empty() && host->spec().cluster() != place.cluster())
    problems.add("spec.placement.host",
                 fmt::format("{} is not in cluster {}", place.host(), place.cluster()));
  const auto* before = context.before<v1::VirtualMachine>();
  if (host->spec().cordoned() && vm.spec().power() != v1::VirtualMachineSpec::STOPPED &&
      !(before && host_of(*before) == place.host()))
    context.refuse(Code::kFailedPrecondition,
                   fmt::format("host {} is cordoned: nothing new is placed there", place.host()));
}

// The host itself as a member of networks.
void check_host_port(const v1::VirtualMachine& vm, const v1::VirtualMachine* before,
                     Problems& problems) {
  const auto& host = vm.spec().placement().host();
  if (host.empty())
    problems.add("spec.placement.host", "is required: with driver \"host\" the VM is that host");
  else if (before && !host_of(*before).empty() && host_of(*before) != host)
    problems.add("spec.placement.host",
                 fmt::format("the VM is host {} itself, which cannot move", host_of(*before)),
                 "make another one for the other host");
  for (int i = 0; i < vm.spec().nics_size(); ++i)
    if (vm.spec().nics(i).address_mode() == v1::Nic::DHCP)
      problems.add(field_path(field_path("spec.nics", static_cast<std::size_t>(i)), "addressMode"),
                   "a host's addresses are static");
}

}  // namespace

void validate(const v1::VirtualMachine& vm, const ValidateContext& context, Problems& problems) {
  if (vm.spec().nics_size() > kNicsMost)
    problems.add("spec.nics", fmt::format("{} NICs: at most {}", vm.spec().nics_size(), kNicsMost));
  NicCheck check(vm, context, problems);
  for (int i = 0; i < std::min(vm.spec().nics_size(), kNicsMost); ++i)
    check(vm.spec().nics(i), field_path("spec.nics", static_cast<std::size_t>(i)));
  if (!vm.spec().driver().empty()) check_name(vm.spec().driver(), problems, "spec.driver");
  check_placement(vm, context, problems);
  const auto* before = context.before<v1::VirtualMachine>();
  if (vm.spec().driver() == "host") check_host_port(vm, before, problems);
  check_owner(vm.spec().owner(), before ? before->spec().owner() : "", context.snapshot, problems);
}

void validate(const v1::VmPool& pool, const ValidateContext& context, Problems& problems) {
  const auto& spec = pool.spec();
  if (spec.vms_size() > kPoolNamesMost)
    problems.add("spec.vms", fmt::format("{} names: at most {}", spec.vms_size(), kPoolNamesMost),
                 "use a selector");
  std::set<std::string> seen;
  for (int i = 0; i < std::min(spec.vms_size(), kPoolNamesMost); ++i) {
    const auto at = field_path("spec.vms", static_cast<std::size_t>(i));
    check_exists<v1::VirtualMachine>(context.snapshot, pool.metadata().tenant(), spec.vms(i),
                                     problems, at);
    check_unique(seen, spec.vms(i), problems, at);
  }
  if (spec.has_selector()) check_selector(spec.selector(), problems, "spec.selector");
  const auto* before = context.before<v1::VmPool>();
  check_owner(spec.owner(), before ? before->spec().owner() : "", context.snapshot, problems);
}

}  // namespace penstock
