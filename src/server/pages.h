// Continue tokens, and the revisions they hold on to.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/runtime.h"
#include "model/snapshot.h"

namespace penstock {

struct ContinueToken {
  std::int64_t revision = 0;
  std::string tenant, name;  // of the last object of the page before

  std::string text() const;
  static std::optional<ContinueToken> parse(std::string_view);
};

// Which page of a list is asked for.
struct PageRequest {
  int limit = 0;
  std::optional<ContinueToken> from;  // after this one
};
// Limit 0: api_page_size. kInvalidArgument: negative, or not a token.
Result<PageRequest> parse_page(const Tunables&, int limit, const std::string& continue_token);

// Snapshots share nearly everything, so keeping one is cheap; what must be bounded is how many.
class Pages {
 public:
  void keep(const Snapshot&, WallTime now);
  // The snapshot that the page is of: `head` unless it goes on with an earlier one.
  // kFailedPrecondition: that one is not kept any more.
  Result<Snapshot> of(const PageRequest&, const Snapshot& head) const;

 private:
  static constexpr std::size_t kMost = 32;
  struct Kept {
    Snapshot snapshot;
    WallTime used;
  };
  std::map<std::int64_t, Kept> kept_;
};

}  // namespace penstock
