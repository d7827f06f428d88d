#include "server/snapshot_diff.h"

namespace penstock {

std::vector<Edit> differences(const Snapshot& before, const Snapshot& after) {
  std::vector<Edit> edits;
  for (const auto& kind : kinds())
    before.each(kind, [&](const ObjectKey& key, const MessagePtr&, std::int64_t) {
      if (!after.find(key)) edits.push_back(Edit::erase(key));
      return true;
    });
  for (const auto& kind : kinds())
    after.each(kind, [&](const ObjectKey& key, const MessagePtr& object, std::int64_t revision) {
      if (before.mod_revision(key) != revision) edits.push_back(Edit::put(object));
      return true;
    });
  return edits;
}

}  // namespace penstock
