// The MAC that the switch answers with for a network's gateway address, and the source of router
// advertisements and DHCP answers: the same on every host, so that a VM keeps its neighbour entry
// when it moves.
#pragma once

#include "net/address.h"

namespace penstock::host {

// Locally administered (bit 1 of the first byte), 02:50:53 followed by the VNI.
inline Mac gateway_mac(Vni vni) {
  return Mac{{0x02, 0x50, 0x53, static_cast<std::uint8_t>(vni.value >> 16),
              static_cast<std::uint8_t>(vni.value >> 8), static_cast<std::uint8_t>(vni.value)}};
}

}  // namespace penstock::host
