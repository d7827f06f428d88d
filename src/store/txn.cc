#include "store/txn.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace penstock {

const std::string& key_of(const Txn::Op& op) {
  return std::visit([](const auto& it) -> const std::string& { return it.key; }, op);
}

namespace {

Status check_key(std::string_view list, std::size_t index, const std::string& key) {
  if (!key.empty() && key.front() != '\0') return {};
  return fail_field(fmt::format("{}[{}].key", list, index),
                    key.empty() ? "a key must not be empty"
                                : "keys that begin with a NUL byte belong to the store itself");
}

Status check_count(std::string_view list, std::size_t count, std::int64_t limit) {
  if (count <= static_cast<std::size_t>(limit)) return {};
  return fail_field(std::string(list),
                    fmt::format("{} of them, at most {} go into one transaction", count, limit),
                    "spread the change over several transactions");
}

}  // namespace

Status validate(const Txn& txn, const Tunables& tunables) {
  PENSTOCK_CHECK(check_count("ops", txn.ops.size(), tunables.store_txn_max_ops));
  PENSTOCK_CHECK(check_count("compares", txn.compares.size(), tunables.store_txn_max_ops));

  std::size_t bytes = txn.request_id.size();
  for (std::size_t i = 0; i < txn.compares.size(); ++i) {
    PENSTOCK_CHECK(check_key("compares", i, txn.compares[i].key));
    bytes += txn.compares[i].key.size();
  }
  std::vector<std::string_view> keys;
  for (std::size_t i = 0; i < txn.ops.size(); ++i) {
    const auto& key = key_of(txn.ops[i]);
    PENSTOCK_CHECK(check_key("ops", i, key));
    keys.push_back(key);
    bytes += key.size();
    if (const auto* put = std::get_if<Txn::Put>(&txn.ops[i])) bytes += put->value.size();
  }
  if (bytes > static_cast<std::size_t>(tunables.store_txn_max_bytes))
    return fail_field("ops",
                      fmt::format("{} bytes, at most {} go into one transaction", bytes,
                                  tunables.store_txn_max_bytes),
                      "spread the change over several transactions");
  std::ranges::sort(keys);
  if (const auto twice = std::ranges::adjacent_find(keys); twice != keys.end())
    return fail_field("ops", fmt::format("the key \"{}\" stands in two operations", *twice));
  return {};
}

}  // namespace penstock
