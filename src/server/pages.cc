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

Result<Snapshot> Pages::of(const PageRequest& page, const Snapshot& head) const {
  if (!page.from || page.from->revision == head.revision()) return head;
  const auto found = kept_.find(page.from->revision);
  if (found == kept_.end())
    return fail(Code::kFailedPrecondition,
                fmt::format("revision {} of the list is not kept any more", page.from->revision),
                "begin the list anew");
  return found->second.snapshot;
}

Result<PageRequest> parse_page(const Tunables& tunables, int limit,
                               const std::string& continue_token) {
  PageRequest page;
  if (limit < 0) return fail_field("limit", "a limit cannot be negative");
  page.limit = limit == 0 ? static_cast<int>(tunables.api_page_size)
                          : std::min(limit, static_cast<int>(tunables.api_batch_max_items));
  if (continue_token.empty()) return page;
  page.from = ContinueToken::parse(continue_token);
  if (!page.from)
    return fail_field("continue", "this is not a continue token",
                      "pass on what the page before answered");
  return page;
}

}  // namespace penstock
