#include "server/catalog_watch.h"

#include "server/handlers/catalog.h"

namespace penstock {

bool CatalogChanges::concerned(const Kind& kind) {
  return &kind == &kind_of<v1::ServiceProfile>() || &kind == &kind_of<v1::ServiceDefinition>() ||
         &kind == &kind_of<v1::Tenant>() || &kind == &kind_of<v1::User>() ||
         &kind == &kind_of<v1::Group>();
}

void CatalogChanges::note(const Snapshot& before, const Snapshot& after, const ObjectKey& edited) {
  if (edited.kind == &kind_of<v1::ServiceProfile>()) {
    profiles.insert(edited.name);
  } else if (edited.kind == &kind_of<v1::ServiceDefinition>()) {
    for (const auto* snapshot : {&before, &after})
      for (auto& profile : snapshot->profiles_of_definition(edited.name))
        profiles.insert(std::move(profile));
  } else if (edited.kind == &kind_of<v1::Tenant>()) {
    tenants.insert(edited.name);
  }
}

void CatalogWatch::look_at(const ReadContext& context, const v1::LabelSelector& selector, bool open,
                           const std::string& name, const Tell& tell) {
  const auto profile = open ? context.snapshot.find<v1::ServiceProfile>(name) : nullptr;
  auto entry = profile ? catalog_entry(context, tenant_, *profile) : std::nullopt;
  if (entry && !matches(selector, entry->metadata().labels())) entry.reset();
  const auto known = told_.find(name);
  if (!entry) {
    if (known == told_.end()) return;
    told_.erase(known);
    // No more than the name: what the entry has become is not for this reader.
    v1::CatalogEntry gone;
    gone.mutable_metadata()->set_name(name);
    return tell(v1::WatchEvent::DELETED, gone);
  }
  const auto content = digest(serialize(*entry));
  if (known != told_.end() && known->second == content) return;
  const auto type = known == told_.end() ? v1::WatchEvent::ADDED : v1::WatchEvent::MODIFIED;
  told_.insert_or_assign(name, content);
  tell(type, *entry);
}

void CatalogWatch::look(const ReadContext& context, const v1::LabelSelector& selector,
                        const Tell& tell) {
  CatalogChanges all;
  context.snapshot.each<v1::ServiceProfile>(
      [&](const v1::ServiceProfile& profile) { all.profiles.insert(profile.metadata().name()); });
  for (const auto& [name, content] : told_) all.profiles.insert(name);
  look(context, selector, all, tell);
}

void CatalogWatch::look(const ReadContext& context, const v1::LabelSelector& selector,
                        const CatalogChanges& changes, const Tell& tell) {
  if (changes.tenants.contains(tenant_)) return look(context, selector, tell);
  const bool open = authorize_catalog(context.snapshot, context.who, tenant_).has_value();
  for (const auto& name : changes.profiles) look_at(context, selector, open, name, tell);
}

void CatalogWatch::take(const ReadContext& context, const v1::LabelSelector& selector) {
  look(context, selector, [](v1::WatchEvent::Type, const v1::CatalogEntry&) {});
}

}  // namespace penstock
