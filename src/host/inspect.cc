#include "host/inspect.h"

#include <algorithm>
#include <cstring>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "host/arena.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

constexpr std::array kDirections{PS_OUT, PS_IN};

Status decode_steps(Kernel& kernel, std::uint32_t line, std::vector<InspectedStep>& out) {
  const auto read = [&](std::size_t offset, auto& into) -> Status {
    std::memcpy(&into, PENSTOCK_TRY(kernel.arena(offset, sizeof(into))).data(), sizeof(into));
    return {};
  };
  const auto start = line * Arena::kLineBytes;
  ps_step_list header{};
  PENSTOCK_CHECK(read(start, header));
  if (header.magic != PS_STEP_LIST_MAGIC || header.count > PS_STEPS_MAX)
    return fail(Code::kInternal, "no step list there");
  for (std::size_t i = 0; i < header.count; ++i) {
    ps_step step{};
    PENSTOCK_CHECK(read(start + sizeof(header) + i * sizeof(step), step));
    ps_policy_header image{};
    PENSTOCK_CHECK(read(step.line * Arena::kLineBytes, image));
    const auto lines =
        PENSTOCK_TRY(kernel.arena(step.line * Arena::kLineBytes, image.lines * Arena::kLineBytes));
    auto decoded =
        policy::decode_policy({reinterpret_cast<const ps_line*>(lines.data()), image.lines});
    if (!decoded) return std::unexpected(std::move(decoded).error());
    out.push_back({step.profile, (step.flags & PS_STEP_OBSERVE) != 0, std::move(*decoded)});
  }
  return {};
}

std::string text_of(const InspectedDirection& direction) {
  if (!direction.damage.empty()) return "damaged: " + direction.damage;
  std::string out;
  for (const auto& step : direction.steps) {
    out += fmt::format("    policy {}{} default {}\n", step.policy, step.observe ? " observe" : "",
                       static_cast<int>(step.rules.default_action));
    for (const auto& rows : step.rules.rows)
      for (const auto& row : rows)
        out += fmt::format("      {} -> {}\n", row.text(),
                           static_cast<int>(step.rules.rules.at(row.rule).action));
  }
  return out;
}

}  // namespace

std::vector<std::uint32_t> InspectedPort::policies(int which) const {
  std::vector<std::uint32_t> out;
  for (const auto& step : direction[which].steps) out.push_back(step.policy);
  return out;
}

Result<std::map<PortId, InspectedPort>> inspect(Kernel& kernel) {
  std::set<int> devices;
  for (const auto& link : PENSTOCK_TRY(kernel.links())) devices.insert(link.ifindex);
  const auto attachments = PENSTOCK_TRY(kernel.attachments());
  const auto attached = [&](int ifindex, Program program) {
    return std::ranges::binary_search(attachments, Attachment{ifindex, program});
  };
  std::map<PortId, InspectedPort> out;
  const auto ports = kernel.ports();
  const auto* array = reinterpret_cast<const ps_port*>(ports.data());
  for (std::uint32_t slot = 0; slot < ports.size() / sizeof(ps_port); ++slot) {
    const auto& port = array[slot];
    if (port.port_id == 0) continue;
    InspectedPort found;
    found.slot = slot;
    found.ifindex = static_cast<int>(port.ifindex);
    found.device_exists = devices.contains(found.ifindex);
    found.programs =
        attached(found.ifindex, Program::kFromPort) && attached(found.ifindex, Program::kToPort);
    const auto led = PENSTOCK_TRY(kernel.map_get(Map::kPortSlots, bytes_of(port.ifindex)));
    found.let_in = led && *led == bytes_of(slot);
    for (const auto direction : kDirections) {
      const auto word = load_policy(port, direction);
      auto& into = found.direction[direction];
      into.generation = PS_POLICY_GENERATION(word);
      into.line = PS_POLICY_LINE(word);
      if (into.line == 0) continue;
      if (auto status = decode_steps(kernel, into.line, into.steps); !status)
        into.damage = status.error().message;
    }
    out.emplace(PortId(port.port_id), std::move(found));
  }
  return out;
}

Result<std::string> canonical_state(Kernel& kernel) {
  std::string out;
  std::map<std::uint32_t, std::uint32_t> port_in_slot;
  const auto ports = PENSTOCK_TRY(inspect(kernel));
  const auto* array = reinterpret_cast<const ps_port*>(kernel.ports().data());
  for (const auto& [id, port] : ports) {
    port_in_slot[port.slot] = id.value;
    const auto& raw = array[port.slot];
    out +=
        fmt::format("port {} vni {} flags {} mac {:02x} mtu {} ip4 {:02x} ip6 {:02x} forwards {}\n",
                    id.value, raw.vni, raw.flags, fmt::join(raw.mac, ""), raw.mtu,
                    fmt::join(raw.ip4, ""), fmt::join(raw.ip6, ""), port.forwards());
    for (const auto direction : kDirections)
      out += fmt::format("  {}\n{}", direction == PS_OUT ? "out" : "in",
                         text_of(port.direction[direction]));
  }
  const auto hex = [](const Bytes& bytes) {
    std::string text;
    for (const auto byte : bytes)
      fmt::format_to(std::back_inserter(text), "{:02x}", std::to_integer<int>(byte));
    return text;
  };
  for (const auto map : {Map::kAddresses, Map::kNeighbors, Map::kGroups})
    for (const auto& [key, value] : PENSTOCK_TRY(kernel.map_dump(map)))
      out += fmt::format("map {} {} = {}\n", static_cast<int>(map), hex(key), hex(value));
  std::set<std::uint32_t> led_to;
  for (const auto& [key, value] : PENSTOCK_TRY(kernel.map_dump(Map::kPortSlots)))
    led_to.insert(port_in_slot[PENSTOCK_TRY(value_of<std::uint32_t>(value))]);
  out += fmt::format("devices lead to ports {}\n", fmt::join(led_to, ","));
  for (const auto& [key, value] : PENSTOCK_TRY(kernel.map_dump(Map::kEndpoints))) {
    auto endpoint = PENSTOCK_TRY(value_of<ps_endpoint>(value));
    if (endpoint.kind == PS_ENDPOINT_LOCAL) endpoint.slot = port_in_slot[endpoint.slot];
    endpoint.also = {};  // where it was a moment ago: of this host's own making, and it passes
    out += fmt::format("endpoint {} = {}\n", hex(key), hex(bytes_of(endpoint)));
  }
  for (const auto& [key, value] : PENSTOCK_TRY(kernel.map_dump(Map::kFlood))) {
    const auto flood = PENSTOCK_TRY(value_of<ps_flood>(value));
    std::set<std::uint32_t> locals;
    for (std::uint32_t i = 0; i < flood.local_count; ++i)
      locals.insert(port_in_slot[flood.local[i]]);
    std::set<std::string> remotes;
    for (std::uint32_t i = 0; i < flood.remote_count; ++i)
      remotes.insert(address_of(flood.remote[i]).text());
    out += fmt::format("flood {} = {} {}\n", hex(key), fmt::join(locals, ","),
                       fmt::join(remotes, ","));
  }
  std::set<std::string> devices;
  for (const auto& link : PENSTOCK_TRY(kernel.links()))
    if (link.alias.starts_with("penstock:"))
      devices.insert(fmt::format("{} {} {}", link.name, link.alias, link.up));
  for (const auto& device : devices) out += "device " + device + "\n";
  return out;
}

}  // namespace penstock::host
