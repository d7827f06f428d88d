#include "base/tunables.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace penstock {
namespace {

constexpr std::array kInfo{
#define PENSTOCK_TUNABLE_ROW(name, value, low, high, help) \
  TunableInfo{#name, &Tunables::name, value, low, high, help},
    PENSTOCK_TUNABLES(PENSTOCK_TUNABLE_ROW)
#undef PENSTOCK_TUNABLE_ROW
};

}  // namespace

std::span<const TunableInfo> tunable_table() { return kInfo; }

Status Tunables::set(std::string_view assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string_view::npos)
    return fail_field(std::string(assignment), "is not of the form name=value");
  const auto name = assignment.substr(0, equals);
  const auto text = assignment.substr(equals + 1);
  const auto info = std::ranges::find(kInfo, name, &TunableInfo::name);
  if (info == kInfo.end()) return fail_field(std::string(name), "no tunable has this name");
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto range = fmt::format("a whole number from {} to {}", info->lowest, info->highest);
  if (error != std::errc{} || end != text.data() + text.size() || value < info->lowest ||
      value > info->highest)
    return fail_field(std::string(name), fmt::format("\"{}\" is not a legal value", text), range);
  this->*info->member = value;
  return {};
}

}  // namespace penstock
