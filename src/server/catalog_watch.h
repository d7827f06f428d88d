// What one reader of the catalog has been told, and what to tell next. Entries are made by the
// server for each user, so there is no history of them: a reader that was away lists again when
// anything that makes entries has changed since.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/digest.h"
#include "server/handlers/context.h"

namespace penstock {

// What of an edit of the inventory concerns catalogs.
struct CatalogChanges {
  std::set<std::string> profiles;  // to look at again
  std::set<std::string> tenants;   // come, gone or changed

  void note(const Snapshot& before, const Snapshot& after, const ObjectKey& edited);
  bool empty() const { return profiles.empty() && tenants.empty(); }
  // Whether an edit of this kind can change what someone sees; identities included.
  static bool concerned(const Kind&);
};

class CatalogWatch {
 public:
  explicit CatalogWatch(std::string tenant) : tenant_(std::move(tenant)) {}

  using Tell = std::function<void(v1::WatchEvent::Type, const v1::CatalogEntry&)>;
  // Tells what is different from what was told before. All profiles, or those named.
  void look(const ReadContext&, const v1::LabelSelector&, const Tell&);
  void look(const ReadContext&, const v1::LabelSelector&, const CatalogChanges&, const Tell&);
  // Takes what there is for told.
  void take(const ReadContext&, const v1::LabelSelector&);

 private:
  const std::string tenant_;
  std::map<std::string, Digest> told_;  // entries by name

  void look_at(const ReadContext&, const v1::LabelSelector&, bool open, const std::string& name,
               const Tell&);
};

}  // namespace penstock
