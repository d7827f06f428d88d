#include "host/map_mirror.h"

#include <algorithm>
#include <utility>

namespace penstock::host {

MapMirror::MapMirror(Kernel& kernel, Map map, Merge merge)
    : kernel_(kernel), map_(map), merge_(std::move(merge)) {}

Status MapMirror::load() {
  held_.clear();
  for (auto& [key, value] : PENSTOCK_TRY(kernel_.map_dump(map_)))
    held_[std::move(key)] = std::move(value);
  return {};
}

Result<bool> MapMirror::set(const std::string& owner, const Entries& entries) {
  std::vector<Bytes> touched;
  if (const auto failed = unsettled_.find(owner); failed != unsettled_.end()) {
    for (const auto& key : failed->second)
      if (!entries.contains(key)) touched.push_back(key);
    unsettled_.erase(failed);
  }
  if (const auto before = keys_of_.find(owner); before != keys_of_.end()) {
    for (const auto& key : before->second) {
      if (entries.contains(key)) continue;
      auto& claims = wanted_.at(key);
      claims.erase(owner);
      if (claims.empty()) wanted_.erase(key);
      touched.push_back(key);
    }
    keys_of_.erase(before);
  }
  if (!entries.empty()) {
    auto& keys = keys_of_[owner];
    for (const auto& [key, value] : entries) {
      wanted_[key][owner] = value;
      keys.push_back(key);
      touched.push_back(key);
    }
  }
  bool wrote = false;
  Status outcome;
  for (const auto& key : touched) {
    if (auto settled = settle(key)) {
      wrote = wrote || *settled;
    } else {
      unsettled_[owner].insert(key);
      if (outcome) outcome = std::unexpected(std::move(settled).error());
    }
  }
  PENSTOCK_CHECK(outcome);
  return wrote;
}

Result<bool> MapMirror::settle(const Bytes& key) {
  const auto claims = wanted_.find(key);
  const auto held = held_.find(key);
  if (claims == wanted_.end()) {
    if (held == held_.end()) return false;
    PENSTOCK_CHECK(kernel_.map_erase(map_, key));
    held_.erase(held);
    return true;
  }
  Bytes value = merge_ ? PENSTOCK_TRY(merge_(claims->second)) : claims->second.begin()->second;
  if (held != held_.end() && held->second == value) return false;
  PENSTOCK_CHECK(kernel_.map_put(map_, key, value));
  held_[key] = std::move(value);
  return true;
}

Status MapMirror::sweep() {
  std::vector<Bytes> unclaimed;
  for (const auto& [key, value] : held_)
    if (!wanted_.contains(key)) unclaimed.push_back(key);
  Status outcome;
  for (auto& [owner, keys] : unsettled_)
    std::erase_if(keys, [&](const Bytes& key) {
      auto settled = settle(key);
      if (!settled && outcome) outcome = std::unexpected(settled.error());
      return settled.has_value();
    });
  std::erase_if(unsettled_, [](const auto& entry) { return entry.second.empty(); });
  for (const auto& key : unclaimed)
    if (auto settled = settle(key); !settled && outcome)
      outcome = std::unexpected(std::move(settled).error());
  return outcome;
}

}  // namespace penstock::host
