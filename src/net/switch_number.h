// What the switch, whose words have 32 bits, knows a policy or group by. Of a policy it is for
// people only: the switch reports by it and decides nothing by it.
#pragma once

#include <cstdint>

namespace penstock {

constexpr std::uint32_t switch_number(std::uint64_t id) {
  return static_cast<std::uint32_t>(id);
}

}  // namespace penstock
