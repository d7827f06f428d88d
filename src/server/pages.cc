#include "server/pages.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace penstock {

// Names hold neither "." sequences that matter nor ":", so plain text will do:
// "REVISION:TENANT:NAME".
std::string ContinueToken::text() const {
  return fmt::format("{}:{}:{}", revision, tenant, name);
}

std::optional<ContinueToken> ContinueToken::parse(std::string_view text) {
  const auto first = text.find(':');
  const auto second = first == text.npos ? text.npos : text.find(':', first + 1);
  if (second == text.npos) return std::nullopt;
  ContinueToken token;
  const auto [end, error] = std::from_chars(text.data(), text.data() + first, token.revision);
  if (error != std::errc() || end != text.data() + first) return std::nullopt;
  token.tenant = text.substr(first + 1, second - first - 1);
  token.name = text.substr(second + 1);
  return token;
}

void Pages::keep(const Snapshot& snapshot, WallTime now) {
  kept_.insert_or_assign(snapshot.revision(), Kept{snapshot, now});
  if (kept_.size() <= kMost) return;
  kept_.erase(
      std::ranges::min_element(kept_, {}, [](const auto& entry) { return entry.second.used; }));
}

std::optional<Snapshot> Pages::at(std::int64_t revision) const {
  const auto found = kept_.find(revision);
  if (found == kept_.end()) return std::nullopt;
  return found->second.snapshot;
}

}  // namespace penstock
