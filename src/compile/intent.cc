#include "compile/intent.h"

#include <algorithm>

#include "base/ensure.h"

namespace penstock {
namespace {

void append_length(std::string& out, std::size_t length) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(length >> shift);
}

}  // namespace

Digest HostIntent::digest() const {
  std::string all;
  for (const auto& [key, bytes] : items) {
    append_length(all, key.size());
    all += key;
    append_length(all, bytes->size());
    all += *bytes;
  }
  return penstock::digest(std::string_view(all));
}

bool HostIntent::operator==(const HostIntent& other) const {
  return std::ranges::equal(items, other.items, [](const auto& a, const auto& b) {
    return a.first == b.first && (a.second == b.second || *a.second == *b.second);
  });
}

void HostChange::apply_to(HostIntent& intent) const {
  for (const auto& key : remove) intent.items.erase(key);
  for (const auto& [key, bytes] : put) intent.items[key] = bytes;
}

void HostChange::then(const HostChange& later) {
  for (const auto& key : later.remove) {
    put.erase(key);
    remove.insert(key);
  }
  for (const auto& [key, bytes] : later.put) {
    remove.erase(key);
    put[key] = bytes;
  }
}

v1::IntentItem parse_item(const std::string& bytes) {
  v1::IntentItem item;
  ensure(item.ParseFromString(bytes), "an item that was compiled here can be read");
  return item;
}

}  // namespace penstock
