#include "sim/enforced.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "abi/policy.h"
#include "host/arena.h"
#include "host/switch/switch_abi.h"

namespace penstock::sim {

std::string facet(std::uint32_t vni, std::span<const std::uint8_t> mac, const std::string& out,
                  const std::string& in) {
  return fmt::format("vni {} mac {:02x} out [{}] in [{}]", vni, fmt::join(mac, ":"), out, in);
}

int EnforcedReader::image_at(std::uint32_t line) {
  const auto arena = kernel_.arena();
  const auto start = line * host::Arena::kLineBytes;
  if (const auto known = seen_.find(line);
      known != seen_.end() && start + known->second.bytes.size() <= arena.size() &&
      std::memcmp(arena.data() + start, known->second.bytes.data(), known->second.bytes.size()) ==
          0)
    return known->second.number;
  ps_policy_header header{};
  if (start + sizeof(header) > arena.size()) return -1;
  std::memcpy(&header, arena.data() + start, sizeof(header));
  const auto size = std::size_t{header.lines} * host::Arena::kLineBytes;
  if (header.magic != PS_POLICY_MAGIC || size == 0 || start + size > arena.size()) return -1;
  Seen seen{std::string(reinterpret_cast<const char*>(arena.data()) + start, size), 0};
  seen.number = images_.number_of(seen.bytes);
  const auto number = seen.number;
  seen_[line] = std::move(seen);
  return number;
}

std::string EnforcedReader::steps_at(std::uint32_t line) {
  if (line == 0) return {};
  const auto arena = kernel_.arena();
  const auto start = line * host::Arena::kLineBytes;
  ps_step_list header{};
  if (start + sizeof(header) > arena.size()) return "damaged";
  std::memcpy(&header, arena.data() + start, sizeof(header));
  if (header.magic != PS_STEP_LIST_MAGIC || header.count > PS_STEPS_MAX ||
      start + sizeof(header) + header.count * sizeof(ps_step) > arena.size())
    return "damaged";
  std::string out;
  for (std::size_t i = 0; i < header.count; ++i) {
    ps_step step{};
    std::memcpy(&step, arena.data() + start + sizeof(header) + i * sizeof(step), sizeof(step));
    out += fmt::format("{}{}{}:i{}", i ? " " : "", step.profile,
                       step.flags & PS_STEP_OBSERVE ? "?" : "", image_at(step.line));
  }
  return out;
}

std::map<PortId, EnforcedPort> EnforcedReader::read() {
  std::map<PortId, EnforcedPort> out;
  const auto bytes = kernel_.ports();
  const auto* array = reinterpret_cast<const ps_port*>(bytes.data());
  const auto attachments = kernel_.attachments().value();
  const auto attached = [&](int ifindex, host::Program program) {
    return std::ranges::binary_search(attachments, host::Attachment{ifindex, program});
  };
  for (std::uint32_t slot = 0; slot < bytes.size() / sizeof(ps_port); ++slot) {
    const auto& port = array[slot];
    if (port.port_id == 0) continue;
    const auto ifindex = static_cast<int>(port.ifindex);
    EnforcedPort found;
    found.device = kernel_.devices().contains(ifindex);
    if (found.device && attached(ifindex, host::Program::kFromPort) &&
        attached(ifindex, host::Program::kToPort)) {
      const auto led = kernel_.map_get(host::Map::kPortSlots, host::bytes_of(port.ifindex)).value();
      found.forwards = led && *led == host::bytes_of(slot);
    }
    for (const auto direction : {PS_OUT, PS_IN}) {
      found.words[direction] = host::load_policy(port, direction);
      found.steps[direction] = steps_at(PS_POLICY_LINE(found.words[direction]));
    }
    found.facet = facet(port.vni, port.mac, found.steps[PS_OUT], found.steps[PS_IN]);
    out.emplace(PortId(port.port_id), std::move(found));
  }
  return out;
}

}  // namespace penstock::sim
