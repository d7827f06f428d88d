#include "compile/intent.h"

#include <algorithm>

#include "base/ensure.h"
#include "model/kinds.h"

namespace penstock {

ItemPtr make_item(v1::IntentItem&& item) {
  auto out = std::make_shared<CompiledItem>();
  out->bytes = serialize(item);
  out->digest = digest(out->bytes);
  out->key = std::move(*item.mutable_key());
  return out;
}

v1::IntentItem parse_item(const CompiledItem& compiled) {
  v1::IntentItem item;
  ensure(item.ParseFromString(compiled.bytes), "an item that was compiled here can be read");
  return item;
}

SetDigest digest_of(std::span<const ItemPtr> items) {
  SetDigest out;
  for (const auto& item : items) out.add(item->digest);
  return out;
}

SetDigest HostIntent::digest() const {
  SetDigest out;
  for (const auto& [key, item] : items) out.add(item->digest);
  return out;
}

bool HostIntent::operator==(const HostIntent& other) const {
  return std::ranges::equal(items, other.items, [](const auto& a, const auto& b) {
    return a.second == b.second || a.second->bytes == b.second->bytes;
  });
}

void HostChange::apply_to(HostIntent& intent) const {
  for (const auto& key : remove) intent.items.erase(key);
  for (const auto& [key, item] : put) intent.items[key] = item;
}

void HostChange::then(const HostChange& later) {
  for (const auto& key : later.remove) {
    put.erase(key);
    remove.insert(key);
  }
  for (const auto& [key, item] : later.put) {
    remove.erase(key);
    put[key] = item;
  }
  difference.add(later.difference);
}

}  // namespace penstock
