#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace penstock {

// Which item, by what it is made of.
struct ItemRef {
  enum class Type : std::uint8_t {
    kSwitch,
    kNetwork,
    kGroup,
    kPolicy,
    kInstance,
    kPort,
    kNeighbor
  };
  Type type;
  std::string a, b, c;
  std::uint32_t port = 0;
  auto operator<=>(const ItemRef&) const = default;

  static ItemRef virtual_switch(std::string name) {
    return {Type::kSwitch, std::move(name), {}, {}, 0};
  }
  static ItemRef network(std::string tenant, std::string name) {
    return {Type::kNetwork, std::move(tenant), std::move(name), {}, 0};
  }
  static ItemRef group(std::string tenant, std::string selector) {
    return {Type::kGroup, std::move(tenant), std::move(selector), {}, 0};
  }
  // Tenant empty: the policy that is the same for all.
  static ItemRef policy(std::string profile, std::string level, std::string tenant) {
    return {Type::kPolicy, std::move(profile), std::move(level), std::move(tenant), 0};
  }
  static ItemRef instance(std::string tenant, std::string vm) {
    return {Type::kInstance, std::move(tenant), std::move(vm), {}, 0};
  }
  static ItemRef port_of(std::uint32_t id) { return {Type::kPort, {}, {}, {}, id}; }
  static ItemRef neighbor(std::uint32_t id) { return {Type::kNeighbor, {}, {}, {}, id}; }
};

}  // namespace penstock
