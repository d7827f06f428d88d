// What a guest is to be told about its NIC. All answers follow from it and the request alone:
// nothing is leased, nothing is remembered, so any host gives the same answer before and after a
// restart or a migration.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "net/address.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

using Frame = std::vector<std::byte>;  // Ethernet, without checksum
using FrameView = std::span<const std::byte>;

struct Guest {
  PortId port;
  Vni vni;
  Mac mac;
  std::string hostname;                                       // "web-1"; empty: not told
  std::vector<std::pair<IpAddress, std::uint8_t>> addresses;  // with the length of their subnet
  std::vector<IpAddress> gateways;                            // at most one a family
  std::vector<IpAddress> dns;
  int mtu = 0;                       // 0: not told
  std::chrono::seconds lease{3600};  // how long an answer is valid; renewing gives the same again
  std::chrono::seconds ra_interval{200};  // between unsolicited router advertisements
  bool operator==(const Guest&) const = default;

  // First ones of the family; nullptr: none.
  const std::pair<IpAddress, std::uint8_t>* address(Family) const;
  const IpAddress* gateway(Family) const;
};

// A port and its network as the host agent holds them. Errors name the field.
Result<Guest> guest_of(const v1::PortIntent&, const v1::NetworkIntent&);

// The interface identifier that a MAC gives (RFC 4291 appendix A), below `prefix`, whose length
// must be 64.
IpAddress eui64_address(const IpPrefix& prefix, const Mac&);
// Where router advertisements and DHCPv6 answers of a network come from: fe80:: with the gateway's
// MAC.
IpAddress gateway_link_local(Vni);

}  // namespace penstock::host
