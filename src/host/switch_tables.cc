#include "host/switch_tables.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "host/gateway.h"
#include "host/intent.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

// An address with all groups that claim it.
Result<Bytes> merge_groups(const MapMirror::Claims& claims) {
  std::vector<std::uint32_t> ids;
  for (const auto& [owner, value] : claims)
    ids.push_back(PENSTOCK_TRY(value_of<std::uint32_t>(value)));
  return bytes_of(PENSTOCK_TRY(group_list(ids)));
}

// The first claim says where the MAC is; another one, from where its frames may come too: a NIC
// that moves is claimed by its old and its new place.
Result<Bytes> merge_endpoints(const MapMirror::Claims& claims) {
  auto endpoint = PENSTOCK_TRY(value_of<ps_endpoint>(claims.begin()->second));
  for (const auto& [owner, value] : claims) {
    const auto other = PENSTOCK_TRY(value_of<ps_endpoint>(value));
    if (other.vtep.family == 0 || bytes_of(other.vtep) == bytes_of(endpoint.vtep)) continue;
    endpoint.also = other.vtep;
    break;
  }
  return bytes_of(endpoint);
}

// After the owners of ports and neighbours, so that it is never the claim that says where.
std::string old_place_of(const std::string& owner) {
  return "before/" + owner;
}

std::string second_place_of(const std::string& owner) {
  return "also/" + owner;
}

MapMirror::Entries neighbor_entries(const Member& member) {
  MapMirror::Entries entries;
  const auto value = bytes_of(neighbor(member.mac, false));
  for (const auto& address : member.addresses)
    entries[bytes_of(network_key(member.vni, address))] = value;
  entries[bytes_of(network_key(member.vni, eui64_link_local(member.mac)))] = value;
  return entries;
}

// Goes on after an error, and keeps the first.
void note(Status& outcome, Status next) {
  if (outcome && !next) outcome = std::move(next);
}
Status status_of(Result<bool> result) {
  if (!result) return std::unexpected(std::move(result).error());
  return {};
}

}  // namespace

SwitchTables::SwitchTables(Kernel& kernel)
    : devices_(kernel, Map::kPortSlots),
      allowed_(kernel, Map::kAddresses),
      endpoints_(kernel, Map::kEndpoints, merge_endpoints),
      neighbors_(kernel, Map::kNeighbors),
      floods_(kernel, Map::kFlood),
      groups_(kernel, Map::kGroups, merge_groups) {}

Status SwitchTables::load() {
  for (auto* mirror : {&devices_, &allowed_, &endpoints_, &neighbors_, &floods_, &groups_})
    PENSTOCK_CHECK(mirror->load());
  return {};
}

Status SwitchTables::set_allowed(const std::string& owner, const Member& member) {
  MapMirror::Entries entries;
  const auto value = bytes_of(ps_allowed{});
  for (const auto& address : member.addresses)
    entries[bytes_of(allowed_key(member.port, address))] = value;
  entries[bytes_of(allowed_key(member.port, eui64_link_local(member.mac)))] = value;
  return status_of(allowed_.set(owner, entries));
}

Status SwitchTables::set_device(const std::string& owner, int ifindex, std::uint32_t slot) {
  return status_of(
      devices_.set(owner, {{bytes_of(static_cast<std::uint32_t>(ifindex)), bytes_of(slot)}}));
}

Status SwitchTables::set_local(const std::string& owner, const Member& member, std::uint32_t slot) {
  const Listener listener{member.vni, true, slot, {}};
  listen(owner, &listener);
  Status outcome =
      status_of(endpoints_.set(owner, {{bytes_of(endpoint_key(member.vni, member.mac)),
                                        bytes_of(local_endpoint(slot, member.port))}}));
  note(outcome, status_of(neighbors_.set(owner, neighbor_entries(member))));
  return outcome;
}

Status SwitchTables::set_remote(const std::string& owner, const Member& member,
                                const IpAddress& host, const std::optional<IpAddress>& also) {
  const Listener listener{member.vni, false, 0, host};
  listen(owner, &listener);
  const MapMirror::Entries endpoint{{bytes_of(endpoint_key(member.vni, member.mac)),
                                     bytes_of(remote_endpoint(member.port, host))}};
  Status outcome = keep_old_place(owner, endpoint);
  // The place it moves to goes before one it came from: it must not be dropped there.
  MapMirror::Entries second;
  if (also)
    second[bytes_of(endpoint_key(member.vni, member.mac))] =
        bytes_of(remote_endpoint(member.port, *also));
  note(outcome, status_of(endpoints_.set(owner, endpoint)));
  note(outcome, status_of(endpoints_.set(second_place_of(owner), second)));
  note(outcome, status_of(neighbors_.set(owner, neighbor_entries(member))));
  return outcome;
}

Status SwitchTables::keep_old_place(const std::string& owner, const MapMirror::Entries& next) {
  auto& known = remote_[owner];
  const auto before = std::exchange(known, next);
  if (before == next || before.empty()) return {};
  // Another MAC is another NIC: nobody's frames may come from where that one was.
  if (before.begin()->first != next.begin()->first) return {};
  moved_[owner] = 0;
  return status_of(endpoints_.set(old_place_of(owner), before));
}

Status SwitchTables::set_network(const std::string& owner, Vni vni,
                                 const std::vector<IpAddress>& gateways) {
  MapMirror::Entries endpoints, neighbors;
  if (!gateways.empty()) {
    const auto mac = gateway_mac(vni);
    endpoints[bytes_of(endpoint_key(vni, mac))] = bytes_of(gateway_endpoint());
    const auto value = bytes_of(neighbor(mac, true));
    for (const auto& address : gateways)
      neighbors[bytes_of(host::network_key(vni, address))] = value;
    neighbors[bytes_of(host::network_key(vni, eui64_link_local(mac)))] = value;
  }
  Status outcome = status_of(endpoints_.set(owner, endpoints));
  note(outcome, status_of(neighbors_.set(owner, neighbors)));
  return outcome;
}

Result<bool> SwitchTables::set_group(const std::string& owner, std::uint32_t number,
                                     const std::vector<std::pair<Vni, IpAddress>>& members) {
  MapMirror::Entries entries;
  for (const auto& [vni, address] : members)
    entries[bytes_of(host::network_key(vni, address))] = bytes_of(number);
  return groups_.set(owner, entries);
}

Status SwitchTables::clear(const std::string& owner) {
  listen(owner, nullptr);
  remote_.erase(owner);
  Status outcome = status_of(devices_.set(owner, {}));
  note(outcome, status_of(endpoints_.set(owner, {})));
  note(outcome, status_of(endpoints_.set(second_place_of(owner), {})));
  if (moved_.erase(owner)) note(outcome, status_of(endpoints_.set(old_place_of(owner), {})));
  note(outcome, status_of(neighbors_.set(owner, {})));
  note(outcome, status_of(allowed_.set(owner, {})));
  return outcome;
}

void SwitchTables::listen(const std::string& owner, const Listener* now) {
  const auto before = listening_.find(owner);
  if (before != listening_.end()) {
    if (now && before->second == *now) return;
    const auto& old = before->second;
    auto& listeners = listeners_[old.vni];
    if (old.local) {
      if (--listeners.slots[old.slot] == 0 && listeners.slots.erase(old.slot))
        floods_dirty_.insert(old.vni);
    } else if (--listeners.vteps[old.vtep] == 0 && listeners.vteps.erase(old.vtep)) {
      floods_dirty_.insert(old.vni);
    }
    if (listeners.slots.empty() && listeners.vteps.empty()) listeners_.erase(old.vni);
    listening_.erase(before);
  }
  if (!now) return;
  listening_[owner] = *now;
  auto& listeners = listeners_[now->vni];
  if ((now->local ? listeners.slots[now->slot]++ : listeners.vteps[now->vtep]++) == 0)
    floods_dirty_.insert(now->vni);
}

std::vector<std::pair<Vni, Error>> SwitchTables::flush_floods() {
  std::vector<std::pair<Vni, Error>> failed;
  std::set<Vni> again;
  for (const auto vni : floods_dirty_) {
    std::vector<std::uint32_t> slots;
    std::vector<IpAddress> hosts;
    if (const auto found = listeners_.find(vni); found != listeners_.end()) {
      for (const auto& [slot, count] : found->second.slots) slots.push_back(slot);
      for (const auto& [address, count] : found->second.vteps) hosts.push_back(address);
    }
    const auto write = [&]() -> Status {
      MapMirror::Entries entries;
      if (!slots.empty() || !hosts.empty())
        entries[bytes_of(vni.value)] = bytes_of(PENSTOCK_TRY(flood(slots, hosts)));
      return status_of(floods_.set(host::network_key(vni.value), entries));
    };
    if (auto status = write(); !status) {
      failed.emplace_back(vni, std::move(status).error());
      again.insert(vni);
    }
  }
  floods_dirty_ = std::move(again);
  return failed;
}

Status SwitchTables::sweep() {
  Status outcome;
  for (auto& [owner, sweeps] : moved_)
    if (++sweeps > 1) note(outcome, status_of(endpoints_.set(old_place_of(owner), {})));
  std::erase_if(moved_, [](const auto& moved) { return moved.second > 1; });
  for (auto* mirror : {&devices_, &endpoints_, &neighbors_, &floods_, &groups_, &allowed_})
    note(outcome, mirror->sweep());
  return outcome;
}

}  // namespace penstock::host
