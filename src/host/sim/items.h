// Items of an intent in few words, for tests and simulations of the host.
#pragma once

#include <string>
#include <vector>

#include "host/intent.h"

namespace penstock::host::items {

v1::IntentItem overlay(const std::string& name, const std::string& uplink, const std::string& vtep);
// Subnet 10.V.0.0/16 (V: low byte of the vni) with gateway 10.V.0.1, MTU 1450.
v1::IntentItem network(std::uint32_t vni);
v1::IntentItem group(std::uint64_t id, std::vector<std::pair<std::uint32_t, std::string>> members);
// Allows what goes out; from outside only TCP to `tcp_port`, from `group` if it is not 0.
v1::IntentItem firewall(std::uint64_t id, std::uint32_t tcp_port, std::uint64_t group = 0);
v1::IntentItem vm(const std::string& name, std::vector<std::uint32_t> ports, bool running = true);
// NIC eth0 of tenant acme's VM in network `vni`, address 10.V.H.L by the id, under these policies
// in this order.
v1::IntentItem port(std::uint32_t id, const std::string& vm, std::uint32_t vni,
                    std::vector<std::uint64_t> policies = {});
v1::IntentItem neighbor(std::uint32_t id, std::uint32_t vni, const std::string& vtep);

// The server's messages. Items need not be sorted.
v1::ServerMessage full(const Position&, std::vector<v1::IntentItem>, bool new_incarnation = false);
v1::ServerMessage delta(std::int64_t previous, const Position&, std::vector<v1::IntentItem> put,
                        std::vector<std::string> remove = {});

}  // namespace penstock::host::items
