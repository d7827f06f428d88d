#include "model/allocate.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include "model/availability.h"
#include "model/quota.h"
#include "model/validate/validate.h"

namespace penstock {
namespace {

constexpr auto kPortCounter = "port-id";
constexpr auto kVniCounter = "vni";
constexpr std::uint32_t kVniMost = 16'777'215;
constexpr int kStandardMtu = 1500;
// Outer Ethernet, IP, UDP and VXLAN headers (RFC 7348 section 5), IPv4 and IPv6 outside.
constexpr int kOverheadV4 = 50, kOverheadV6 = 70;

template <typename T>
T* as(Message& object) {
  return object.GetDescriptor() == T::descriptor() ? static_cast<T*>(&object) : nullptr;
}

// --- networks

Status allocate_network(v1::VirtualNetwork& network, const v1::VirtualNetwork* before,
                        const Snapshot& snapshot, Admission& out) {
  if (network.spec().vni() == 0) {
    // Onwards from the last one given, so that a VNI comes back as late as possible.
    auto vni = static_cast<std::uint32_t>(snapshot.counter(kVniCounter));
    std::uint32_t tries = 0;
    do {
      vni = vni >= kVniMost ? 1 : vni + 1;
      if (++tries > kVniMost) return fail(Code::kResourceExhausted, "there is no free VNI");
    } while (snapshot.network_of_vni(vni));
    network.mutable_spec()->set_vni(static_cast<int>(vni));
    out.edits.push_back(Edit::set({kVniCounter, vni}));
  }
  if (before) return {};
  int mtu = kStandardMtu - kOverheadV4;
  bool first = true;
  snapshot.each<v1::Host>([&](const v1::Host& host) {
    for (const auto& uplink : host.spec().uplinks()) {
      const auto address = IpAddress::parse(uplink.address());
      const int overhead = address && address->family == Family::kV6 ? kOverheadV6 : kOverheadV4;
      const int left = (uplink.mtu() ? uplink.mtu() : kStandardMtu) - overhead;
      mtu = first ? left : std::min(mtu, left);
      first = false;
    }
  });
  if (network.spec().mtu() > mtu && !first)
    out.warnings.push_back(fmt::format("spec.mtu {} is more than the underlay leaves ({})",
                                       network.spec().mtu(), mtu));
  network.mutable_status()->set_mtu(network.spec().mtu() ? network.spec().mtu() : mtu);
  return {};
}

// --- virtual machines

// The lowest address of the subnet that is neither in use nor reserved nor in `taken`. By counting
// what is used below a candidate: O(log^2 n), whatever the size of the subnet.
std::optional<IpAddress> lowest_free(const Snapshot& snapshot, const std::string& tenant,
                                     const std::string& network, const v1::Subnet& subnet,
                                     const std::set<IpAddress>& taken) {
  const auto prefix = *IpPrefix::parse(subnet.cidr());
  std::set<IpAddress> blocked(taken);
  for (const auto& reserved : reserved_addresses(prefix, subnet)) blocked.insert(reserved);
  std::erase_if(blocked, [&](const auto& a) {
    return !prefix.contains(a) || snapshot.address_user(tenant, network, a) != 0;
  });
  // Addresses gone among the first n+1 of the subnet.
  const auto gone = [&](std::uint64_t n) {
    const auto last = prefix.address.plus(n);
    return snapshot.addresses_used(tenant, network, prefix.address, last) +
           static_cast<std::size_t>(std::distance(blocked.begin(), blocked.upper_bound(last)));
  };
  const int host_bits = prefix.address.width() - prefix.length;
  // No more than all that is gone can lie before the first free one.
  const std::uint64_t all =
      snapshot.addresses_used(tenant, network, prefix.address, prefix.last()) + blocked.size();
  const std::uint64_t size = host_bits >= 63 ? UINT64_MAX : (std::uint64_t{1} << host_bits);
  if (all >= size) return {};
  std::uint64_t low = 0, high = all;
  while (low < high) {
    const auto middle = low + (high - low) / 2;
    if (gone(middle) == middle + 1)
      low = middle + 1;
    else
      high = middle;
  }
  return prefix.address.plus(low);
}

class NicAllocator {
 public:
  NicAllocator(v1::VirtualMachine& vm, const Snapshot& snapshot, Admission& out)
      : vm_(vm), snapshot_(snapshot), out_(out), next_port_(snapshot.counter(kPortCounter)) {}

  Status run() {
    const auto before = next_port_;
    for (const auto& nic : vm_.spec().nics())
      for (const auto& text : nic.addresses())
        if (auto a = IpAddress::parse(text)) taken_[nic.network()].insert(*a);
    for (auto& nic : *vm_.mutable_spec()->mutable_nics()) PENSTOCK_CHECK(one(nic));
    if (next_port_ != before) out_.edits.push_back(Edit::set({kPortCounter, next_port_}));
    return {};
  }

 private:
  v1::VirtualMachine& vm_;
  const Snapshot& snapshot_;
  Admission& out_;
  std::uint64_t next_port_;
  std::map<std::string, std::set<IpAddress>> taken_;  // of this VM, by network

  Status one(v1::Nic& nic) {
    const auto& tenant = vm_.metadata().tenant();
    if (nic.port_id() == 0) {
      if (++next_port_ > UINT32_MAX)
        return fail(Code::kResourceExhausted, "all port numbers have been given out");
      nic.set_port_id(static_cast<std::uint32_t>(next_port_));
    }
    if (nic.mac().empty())
      nic.set_mac(free_mac(nic));
    else
      nic.set_mac(Mac::parse(nic.mac())->text());
    for (auto& address : *nic.mutable_addresses()) address = IpAddress::parse(address)->text();
    if (!nic.addresses().empty()) return {};
    const auto network = snapshot_.find<v1::VirtualNetwork>(tenant, nic.network());
    for (const auto& subnet : network->spec().subnets()) {
      const auto address =
          lowest_free(snapshot_, tenant, nic.network(), subnet, taken_[nic.network()]);
      if (!address)
        return fail(Code::kResourceExhausted,
                    fmt::format("subnet {} of network {} has no free address left", subnet.cidr(),
                                nic.network()));
      taken_[nic.network()].insert(*address);
      nic.add_addresses(address->text());
    }
    return {};
  }

  // Locally administered, made of the port's number: unique by itself unless somebody chose the
  // same by hand.
  std::string free_mac(const v1::Nic& nic) {
    for (std::uint8_t turn = 0;; ++turn) {
      const auto id = nic.port_id();
      const Mac mac{{0x02, turn, static_cast<std::uint8_t>(id >> 24),
                     static_cast<std::uint8_t>(id >> 16), static_cast<std::uint8_t>(id >> 8),
                     static_cast<std::uint8_t>(id)}};
      const bool own = std::ranges::any_of(vm_.spec().nics(),
                                           [&](const auto& n) { return n.mac() == mac.text(); });
      if ((!own && snapshot_.mac_user(vm_.metadata().tenant(), nic.network(), mac) == 0) ||
          turn == 255)
        return mac.text();
    }
  }
};

std::string place(const v1::VirtualMachine& vm, const v1::VirtualMachine* before,
                  const Snapshot& snapshot) {
  if (vm.spec().power() == v1::VirtualMachineSpec::STOPPED) return "";
  const auto& wish = vm.spec().placement();
  if (!wish.host().empty()) return wish.host();
  const auto fits = [&](const v1::Host& host) {
    return wish.cluster().empty() || host.spec().cluster() == wish.cluster();
  };
  if (before && !host_of(*before).empty())
    if (const auto host = snapshot.find<v1::Host>(host_of(*before)); host && fits(*host))
      return host_of(*before);
  std::string best;
  std::size_t fewest = SIZE_MAX;
  snapshot.each<v1::Host>([&](const v1::Host& host) {
    if (host.spec().cordoned() || !fits(host)) return;
    const auto count = snapshot.vm_count_of_host(host.metadata().name());
    if (count >= fewest) return;
    fewest = count;
    best = host.metadata().name();
  });
  return best;
}

bool same(const Message& a, const Message& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

// A move goes on under changes that do not concern it; those that would pull the ground from under
// it have to wait.
Status keep_move(v1::VirtualMachine& vm, const v1::VirtualMachine& before) {
  const auto& move = before.status().move();
  if (vm.spec().power() == v1::VirtualMachineSpec::STOPPED) return may_end(before);
  const auto &is = vm.spec(), &was = before.spec();
  const bool nics = std::ranges::equal(is.nics(), was.nics(), same);
  if (!nics || is.driver() != was.driver() || !same(is.placement(), was.placement()))
    return fail(Code::kConflict,
                fmt::format("{} is being moved: its NICs, driver and placement stay until that is "
                            "over",
                            key_of(before).describe()),
                "try again in a moment");
  *vm.mutable_status()->mutable_move() = move;
  return {};
}

Status allocate_vm(v1::VirtualMachine& vm, const v1::VirtualMachine* before,
                   const Snapshot& snapshot, Admission& out) {
  PENSTOCK_CHECK(NicAllocator(vm, snapshot, out).run());
  if (before && before->status().has_move()) PENSTOCK_CHECK(keep_move(vm, *before));
  const auto host = place(vm, before, snapshot);
  if (!host.empty())
    vm.mutable_status()->set_host(host);
  else if (vm.spec().power() != v1::VirtualMachineSpec::STOPPED)
    out.warnings.push_back("no host can take the VM: it will run as soon as one can");
  return {};
}

// VMs that should run and found no host may find this one. As many as go into one transaction.
void place_waiting(const v1::Host& host, const v1::Host* before, const Snapshot& snapshot,
                   Admission& out) {
  constexpr std::size_t kMost = 64;
  const bool opened =
      !before || before->spec().cordoned() || before->spec().cluster() != host.spec().cluster();
  if (host.spec().cordoned() || !opened) return;
  snapshot.each(
      kind_of<v1::VirtualMachine>(), [&](const ObjectKey&, const MessagePtr& object, std::int64_t) {
        const auto& vm = static_cast<const v1::VirtualMachine&>(*object);
        const auto& wish = vm.spec().placement();
        if (!host_of(vm).empty() || vm.spec().power() == v1::VirtualMachineSpec::STOPPED ||
            !wish.host().empty() ||
            (!wish.cluster().empty() && wish.cluster() != host.spec().cluster()))
          return true;
        auto placed = std::make_shared<v1::VirtualMachine>(vm);
        placed->mutable_status()->set_host(host.metadata().name());
        out.edits.push_back(Edit::put(std::move(placed)));
        return out.edits.size() < kMost;
      });
}

}  // namespace

Status may_end(const v1::VirtualMachine& vm) {
  if (vm.status().move().phase() != v1::VmMove::SWITCHING) return {};
  return fail(Code::kConflict,
              fmt::format("{} is changing over between two hosts and cannot be ended just now",
                          key_of(vm).describe()),
              "try again in a moment");
}

void name_if_nameless(Message& object) {
  auto* e = as<v1::Enablement>(object);
  if (!e || !e->metadata().name().empty()) return;
  const auto& spec = e->spec();
  std::string target = spec.has_vm() ? "vm-" + spec.vm()
                       : spec.has_nic()
                           ? fmt::format("nic-{}-{}", spec.nic().vm(), spec.nic().nic())
                       : spec.has_pool()    ? "pool-" + spec.pool()
                       : spec.has_network() ? "net-" + spec.network()
                                            : "";
  auto name = fmt::format("{}-{}", spec.profile(), target);
  // Names are at most 63 characters: a long one is cut and told apart by a digest of the whole.
  if (name.size() > 63)
    name = name.substr(0, 54) + "-" + digest(std::string_view(name)).text().substr(0, 8);
  e->mutable_metadata()->set_name(std::move(name));
}

void inherit(Message& object, const Message& existing) {
  if (auto* vm = as<v1::VirtualMachine>(object)) {
    const auto& before = static_cast<const v1::VirtualMachine&>(existing);
    if (vm->spec().owner().empty()) vm->mutable_spec()->set_owner(before.spec().owner());
    for (auto& nic : *vm->mutable_spec()->mutable_nics()) {
      const auto old = std::ranges::find(before.spec().nics(), nic.name(), &v1::Nic::name);
      // In another network it is another port: flows and addresses of the old one mean nothing
      // there.
      if (old == before.spec().nics().end() || old->network() != nic.network()) continue;
      nic.set_port_id(old->port_id());
      if (nic.mac().empty()) nic.set_mac(old->mac());
      if (nic.addresses().empty()) *nic.mutable_addresses() = old->addresses();
    }
  } else if (auto* network = as<v1::VirtualNetwork>(object)) {
    const auto& before = static_cast<const v1::VirtualNetwork&>(existing);
    if (network->spec().vni() == 0) network->mutable_spec()->set_vni(before.spec().vni());
    network->mutable_status()->set_mtu(network->spec().mtu() ? network->spec().mtu()
                                                             : before.status().mtu());
  } else if (auto* token = as<v1::Token>(object)) {
    token->mutable_spec()->set_sha256(static_cast<const v1::Token&>(existing).spec().sha256());
  } else if (auto* enablement = as<v1::Enablement>(object)) {
    const auto& before = static_cast<const v1::Enablement&>(existing);
    if (enablement->spec().level().empty())
      enablement->mutable_spec()->set_level(before.spec().level());
    enablement->mutable_spec()->set_definition_version(before.spec().definition_version());
    if (before.spec().has_approval())
      *enablement->mutable_spec()->mutable_approval() = before.spec().approval();
  }
}

void fill_defaults(Message& object, const Snapshot& snapshot, const AdmitContext& context,
                   bool exists) {
  if (auto* vm = as<v1::VirtualMachine>(object)) {
    if (!exists && vm->spec().owner().empty() && snapshot.find<v1::User>(context.user))
      vm->mutable_spec()->set_owner("user:" + context.user);
  } else if (auto* token = as<v1::Token>(object)) {
    if (!exists) token->mutable_spec()->set_sha256(context.token_sha256);
  } else if (auto* definition = as<v1::ServiceDefinition>(object)) {
    auto& spec = *definition->mutable_spec();
    using Spec = v1::ServiceDefinitionSpec;
    if (spec.insertion_point() != v1::INSERTION_POINT_UNSPECIFIED ||
        spec.mode_case() == Spec::MODE_NOT_SET)
      return;
    const auto mode = spec.mode_case();
    spec.set_insertion_point(mode == Spec::kEdge || mode == Spec::kDistributed ? v1::VIRTUAL_NETWORK
                             : mode == Spec::kRemote || mode == Spec::kRedirect
                                 ? v1::REMOTE
                                 : v1::VIRTUAL_SWITCH);
  } else if (auto* enablement = as<v1::Enablement>(object)) {
    if (!enablement->spec().level().empty()) return;
    const auto profile = snapshot.find<v1::ServiceProfile>(enablement->spec().profile());
    const auto d =
        profile ? snapshot.find<v1::ServiceDefinition>(profile->spec().definition()) : nullptr;
    if (!d) return;
    if (const auto levels = allowed_levels(*d, *profile); !levels.empty())
      enablement->mutable_spec()->set_level(levels.front().name());
  }
}

Status allocate(Message& object, const Message* existing, const Snapshot& snapshot,
                const AdmitContext&, Admission& out) {
  if (auto* network = as<v1::VirtualNetwork>(object))
    return allocate_network(*network, static_cast<const v1::VirtualNetwork*>(existing), snapshot,
                            out);
  if (auto* vm = as<v1::VirtualMachine>(object))
    return allocate_vm(*vm, static_cast<const v1::VirtualMachine*>(existing), snapshot, out);
  if (auto* tenant = as<v1::Tenant>(object)) {
    for (auto& warning : quota_warnings(snapshot, *tenant))
      out.warnings.push_back(std::move(warning));
  } else if (auto* definition = as<v1::ServiceDefinition>(object)) {
    const auto& spec = definition->spec();
    if (spec.has_guest() || spec.has_network())
      out.warnings.push_back(fmt::format(
          "{} has no effect in this version: VMs and networks are not told by services yet",
          spec.has_guest() && spec.has_network() ? "what spec.guest and spec.network say"
          : spec.has_guest()                     ? "what spec.guest says"
                                                 : "what spec.network says"));
  } else if (auto* host = as<v1::Host>(object)) {
    place_waiting(*host, static_cast<const v1::Host*>(existing), snapshot, out);
  } else if (auto* enablement = as<v1::Enablement>(object)) {
    const auto* before = static_cast<const v1::Enablement*>(existing);
    if (before && before->spec().level() == enablement->spec().level()) return {};
    const auto profile = snapshot.find<v1::ServiceProfile>(enablement->spec().profile());
    const auto definition = snapshot.find<v1::ServiceDefinition>(profile->spec().definition());
    enablement->mutable_spec()->set_definition_version(definition->spec().version());
  }
  return {};
}

}  // namespace penstock
