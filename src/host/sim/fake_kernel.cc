#include "host/sim/fake_kernel.h"

#include <algorithm>

#include <fmt/format.h>

#include "abi/port.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {

FakeKernel::FakeKernel(std::size_t arena_bytes, std::size_t port_slots)
    : arena_(arena_bytes / 8), ports_(port_slots * sizeof(ps_port) / 8) {}

Status FakeKernel::changing() {
  if (faults.calls_until_failure == 0)
    return fail(Code::kUnavailable, "injected failure of a kernel call");
  if (faults.calls_until_failure > 0) --faults.calls_until_failure;
  return {};
}
void FakeKernel::changed() {
  if (after_change) after_change();
}

Result<std::vector<Link>> FakeKernel::links() {
  std::vector<Link> out;
  for (const auto& [ifindex, link] : links_) out.push_back(link);
  return out;
}

Result<Link> FakeKernel::create_vxlan(const VxlanSpec& spec) {
  PENSTOCK_CHECK(changing());
  if (faults.vxlan_port_taken)
    return fail(Code::kUnavailable, fmt::format("create {}: UDP port {} is taken by another device",
                                                spec.name, spec.udp_port));
  for (auto& [ifindex, link] : links_) {
    if (link.name != spec.name) continue;
    if (link.alias != spec.alias)
      return fail(Code::kAlreadyExists,
                  fmt::format("create {}: a device has that name", spec.name));
    link.mtu = spec.mtu;
    link.up = true;
    return link;
  }
  Link link;
  link.name = spec.name;
  link.kind = "vxlan";
  link.alias = spec.alias;
  link.mtu = spec.mtu;
  link.up = true;
  link.ifindex = add_link(link);
  return link;
}

Status FakeKernel::delete_link(int ifindex) {
  PENSTOCK_CHECK(changing());
  if (!links_.contains(ifindex))
    return fail(Code::kNotFound, fmt::format("delete device {}: no such device", ifindex));
  remove_link(ifindex);
  changed();
  return {};
}

Status FakeKernel::set_link_up(int ifindex, bool up) {
  PENSTOCK_CHECK(changing());
  const auto found = links_.find(ifindex);
  if (found == links_.end())
    return fail(Code::kNotFound, fmt::format("set device {} up: no such device", ifindex));
  found->second.up = up;
  return {};
}

Status FakeKernel::set_link_mtu(int ifindex, int mtu) {
  PENSTOCK_CHECK(changing());
  const auto found = links_.find(ifindex);
  if (found == links_.end())
    return fail(Code::kNotFound, fmt::format("set MTU of device {}: no such device", ifindex));
  found->second.mtu = mtu;
  return {};
}

void FakeKernel::on_links_changed(std::function<void()> callback) {
  links_changed_ = std::move(callback);
}

Status FakeKernel::attach(Attachment attachment) {
  ++calls.attach_calls;
  PENSTOCK_CHECK(changing());
  if (faults.attach_denied_everywhere || faults.attach_denied.contains(attachment.ifindex))
    return fail(
        Code::kPermissionDenied,
        fmt::format("attach tcx on device {}: Operation not permitted", attachment.ifindex));
  if (!links_.contains(attachment.ifindex))
    return fail(Code::kNotFound,
                fmt::format("attach tcx on device {}: No such device", attachment.ifindex));
  if (attachments_.insert(attachment).second) ++calls.attaches;
  changed();
  return {};
}

Status FakeKernel::detach(Attachment attachment) {
  PENSTOCK_CHECK(changing());
  if (attachments_.erase(attachment)) ++calls.attaches;
  changed();
  return {};
}

Result<std::vector<Attachment>> FakeKernel::attachments() {
  return std::vector<Attachment>(attachments_.begin(), attachments_.end());
}

Status FakeKernel::map_put(Map map, ByteView key, ByteView value) {
  PENSTOCK_CHECK(changing());
  auto& content = maps_[map];
  Bytes own_key(key.begin(), key.end());
  if (faults.full.contains(map) && !content.contains(own_key))
    return fail(Code::kResourceExhausted, "map update: No space left on device");
  content[std::move(own_key)] = Bytes(value.begin(), value.end());
  ++calls.writes;
  changed();
  return {};
}

Status FakeKernel::map_erase(Map map, ByteView key) {
  PENSTOCK_CHECK(changing());
  maps_[map].erase(Bytes(key.begin(), key.end()));
  ++calls.writes;
  changed();
  return {};
}

Result<std::optional<Bytes>> FakeKernel::map_get(Map map, ByteView key) {
  const auto& content = maps_[map];
  const auto found = content.find(Bytes(key.begin(), key.end()));
  if (found == content.end()) return std::nullopt;
  return found->second;
}

Result<std::vector<std::pair<Bytes, Bytes>>> FakeKernel::map_dump(Map map) {
  const auto& content = maps_[map];
  return std::vector<std::pair<Bytes, Bytes>>(content.begin(), content.end());
}

Result<Kernel::MapPart> FakeKernel::map_part(Map map, ByteView after, std::size_t most) {
  ++calls.parts;
  MapPart part;
  const auto& content = maps_[map];
  auto it =
      after.empty() ? content.begin() : content.upper_bound(Bytes(after.begin(), after.end()));
  for (; it != content.end() && part.entries.size() < most; ++it) part.entries.push_back(*it);
  if (it != content.end()) part.end = part.entries.back().first;
  return part;
}

namespace {

bool is_of(const Bytes& flow_key, PortId port) {
  const auto key = value_of<ps_flow_key>(flow_key);
  return key && key->port_id == port.value;
}

}  // namespace

Result<std::vector<std::pair<Bytes, Bytes>>> FakeKernel::flows_of(std::span<const PortId> ports) {
  std::vector<std::pair<Bytes, Bytes>> out;
  for (const auto& entry : maps_[Map::kFlows])
    if (std::ranges::any_of(ports, [&](PortId port) { return is_of(entry.first, port); }))
      out.push_back(entry);
  return out;
}

Result<bool> FakeKernel::place_flow(ByteView key, ByteView flow) {
  const bool known = maps_[Map::kFlows].contains(Bytes(key.begin(), key.end()));
  PENSTOCK_CHECK(map_put(Map::kFlows, key, flow));
  return !known;
}

Status FakeKernel::forget_flows(PortId port) {
  PENSTOCK_CHECK(changing());
  std::erase_if(maps_[Map::kFlows], [&](const auto& entry) { return is_of(entry.first, port); });
  changed();
  return {};
}

Result<std::span<std::byte>> FakeKernel::arena(std::size_t offset, std::size_t bytes) {
  if (offset > arena_bytes() || bytes > arena_bytes() - offset)
    return fail(Code::kInvalidArgument, "outside the arena");
  return arena().subspan(offset, bytes);
}
std::size_t FakeKernel::arena_bytes() const {
  return arena_.size() * 8;
}
std::span<std::byte> FakeKernel::arena() {
  return std::as_writable_bytes(std::span(arena_));
}
std::span<std::byte> FakeKernel::ports() {
  return std::as_writable_bytes(std::span(ports_));
}

Status FakeKernel::synchronize() {
  ++calls.synchronizes;
  return {};
}

Result<SwitchCounters> FakeKernel::counters() {
  return SwitchCounters{};
}

Result<std::vector<ps_rule_count>> FakeKernel::rule_counts(std::uint32_t first,
                                                           std::uint32_t count) {
  std::vector<ps_rule_count> out(count);
  for (auto at = counted_rules.lower_bound(first);
       at != counted_rules.end() && at->first - first < count; ++at)
    out[at->first - first] = at->second;
  return out;
}

Status FakeKernel::set_rule_counts(std::uint32_t first, std::span<const ps_rule_count> counts) {
  PENSTOCK_CHECK(changing());
  const auto blocks = (counts.size() + PS_RULES_PER_BLOCK - 1) / PS_RULES_PER_BLOCK;
  const auto end = first + static_cast<std::uint32_t>(blocks * PS_RULES_PER_BLOCK);
  counted_rules.erase(counted_rules.lower_bound(first), counted_rules.lower_bound(end));
  const auto nothing = [](const ps_rule_count& c) {
    return c.flows == 0 && c.packets == 0 && c.would_deny == 0;
  };
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (!nothing(counts[i])) counted_rules[first + static_cast<std::uint32_t>(i)] = counts[i];
  ++calls.count_writes;
  return {};
}

Status FakeKernel::forget_port_counts(PortId port, std::uint32_t) {
  PENSTOCK_CHECK(changing());
  counted_ports.erase(port);
  return {};
}

void FakeKernel::count(CountsWanted wanted, std::function<void(Result<Counts>)> done) {
  Counts out;
  for (const auto& range : wanted.rules)
    out.rules.push_back(*rule_counts(range.first, range.count));
  for (const auto& port : wanted.ports) out.ports.push_back(counted_ports[port.port]);
  done(std::move(out));
}

void FakeKernel::trace(TraceRun run, std::function<void(Result<TraceRecord>)> done) {
  if (traced) return done(traced(run));
  done(fail(Code::kUnimplemented, "a simulated kernel runs no programs"));
}

void FakeKernel::watch(TraceWatch wanted) {
  watching = std::move(wanted);
}

int FakeKernel::add_link(Link link) {
  link.ifindex = next_ifindex_++;
  const int ifindex = link.ifindex;
  links_[ifindex] = std::move(link);
  if (links_changed_) links_changed_();
  return ifindex;
}

void FakeKernel::remove_link(int ifindex) {
  links_.erase(ifindex);
  std::erase_if(attachments_, [&](const Attachment& a) { return a.ifindex == ifindex; });
  if (links_changed_) links_changed_();
}

void FakeKernel::reboot() {
  std::erase_if(links_, [](const auto& entry) { return !entry.second.kind.empty(); });
  attachments_.clear();
  maps_.clear();
  counted_rules.clear();
  counted_ports.clear();
  std::ranges::fill(arena_, 0);
  std::ranges::fill(ports_, 0);
}

}  // namespace penstock::host
