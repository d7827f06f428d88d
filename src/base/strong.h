// Strong<Tag, Rep>: an id or unit that the compiler will not mix up with another.
//   using PortId = Strong<struct PortIdTag, std::uint32_t>;
#pragma once

#include <compare>
#include <cstddef>
#include <functional>

namespace penstock {

template <typename Tag, typename Rep>
struct Strong {
  Rep value{};
  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) : value(v) {}
  auto operator<=>(const Strong&) const = default;
};

}  // namespace penstock

template <typename Tag, typename Rep>
struct std::hash<penstock::Strong<Tag, Rep>> {
  std::size_t operator()(const penstock::Strong<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
