#include "server/handlers/catalog.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "model/availability.h"
#include "server/handlers/resources.h"

namespace penstock {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

// Every word of the query is somewhere in the entry.
bool found_by(const v1::CatalogEntry& entry, const std::string& query) {
  const auto& status = entry.status();
  const auto text = lower(fmt::format("{} {} {} {} {}", entry.metadata().name(), status.vendor(),
                                      status.service_name(), status.description(), status.kind()));
  std::size_t at = 0;
  while (at < query.size()) {
    const auto end = std::min(query.find(' ', at), query.size());
    const auto word = lower(std::string_view(query).substr(at, end - at));
    if (!word.empty() && text.find(word) == text.npos) return false;
    at = end + 1;
  }
  return true;
}

// Enablements that cover the VM or one of its NICs, by whatever target.
std::vector<std::shared_ptr<const v1::Enablement>> covering(const Snapshot& snapshot,
                                                            const std::string& tenant,
                                                            const v1::VirtualMachine& vm) {
  std::set<std::string> names;
  auto take = [&](const std::vector<std::string>& more) { names.insert(more.begin(), more.end()); };
  const auto& name = vm.metadata().name();
  take(snapshot.enablements_on_vm(tenant, name));
  for (const auto& pool : snapshot.pools_of_vm(tenant, name))
    take(snapshot.enablements_on_pool(tenant, pool));
  for (const auto& nic : vm.spec().nics()) {
    take(snapshot.enablements_on_nic(tenant, name, nic.name()));
    take(snapshot.enablements_on_network(tenant, nic.network()));
  }
  std::vector<std::shared_ptr<const v1::Enablement>> found;
  for (const auto& one : names) found.push_back(snapshot.find<v1::Enablement>(tenant, one));
  return found;
}

v1::CatalogEntry entry_of(const v1::ServiceProfile& profile,
                          const v1::ServiceDefinition& definition) {
  v1::CatalogEntry entry;
  const auto& spec = definition.spec();
  entry.mutable_metadata()->set_name(profile.metadata().name());
  *entry.mutable_metadata()->mutable_labels() = profile.metadata().labels();
  auto& status = *entry.mutable_status();
  status.set_kind(mode_of(spec));
  status.set_vendor(spec.vendor());
  status.set_service_name(profile.spec().display_name().empty() ? spec.service_name()
                                                                : profile.spec().display_name());
  status.set_version(spec.version());
  status.set_description(profile.spec().description().empty() ? spec.description()
                                                              : profile.spec().description());
  for (const auto& level : allowed_levels(definition, profile)) *status.add_levels() = level;
  *status.mutable_parameters() = profile.spec().parameters();
  const auto& contact = spec.administrator();
  status.set_contact(contact.email().empty() ? contact.name() : contact.email());
  *status.mutable_categories() = spec.categories();
  return entry;
}

// Hosts that must be configured before the VM can use it and are not.
std::string why_not_on_host(const ReadContext& context, const v1::VirtualMachine& vm,
                            const ObjectKey& profile) {
  const auto& host = host_of(vm);
  if (host.empty()) return {};
  const auto targets = context.status.targets(context.snapshot, profile);
  const auto found = targets.find(host);
  if (found == targets.end()) return {};
  const auto where = context.status.rollout_on_host(host, found->second);
  if (where.state() == v1::HostRollout::APPLIED) return {};
  if (!context.who.administrator()) return "not ready on the VM's host yet";
  return fmt::format("not ready on host {} yet: {}", host, where.message());
}

Subject subject_of(const ReadContext& context, const std::string& tenant) {
  Subject subject;
  subject.tenant = tenant;
  if (!context.who.administrator()) subject.user_groups = context.who.groups;
  return subject;
}

// What is not for this VM stays in the catalog, with why.
void judge_for_vm(const ReadContext& context, const std::string& tenant,
                  const v1::ServiceProfile& profile,
                  const std::shared_ptr<const v1::VirtualMachine>& vm,
                  v1::CatalogEntryStatus& status) {
  auto subject = subject_of(context, tenant);
  subject.vm = vm;
  auto why = why_not_available(context.snapshot, profile, subject);
  if (why.empty()) why = why_not_on_host(context, *vm, key_of(profile));
  status.set_usable(why.empty() ? "yes" : "no");
  status.set_why_not(why);
  for (const auto& enablement : covering(context.snapshot, tenant, *vm)) {
    if (enablement->spec().profile() != profile.metadata().name()) continue;
    status.set_usable("on");
    const bool observe = enablement->spec().observe() || profile.spec().observe();
    status.set_observe(observe);
    status.set_why_not(fmt::format("level {}, {}{}", enablement->spec().level(),
                                   Compiler::covers_by(*enablement),
                                   observe ? "; observing: not protected" : ""));
  }
}

}  // namespace

Status authorize_catalog(const Snapshot& snapshot, const Identity& who, const std::string& tenant) {
  if (tenant.empty()) {
    if (who.administrator()) return {};
    return fail_field("tenant", "whose catalog?", "name a tenant: --tenant NAME");
  }
  PENSTOCK_CHECK(authorize_tenant(who, tenant));
  if (snapshot.find<v1::Tenant>(tenant)) return {};
  return not_found(ObjectKey::of<v1::Tenant>("", tenant));
}

std::optional<v1::CatalogEntry> catalog_entry(const ReadContext& context, const std::string& tenant,
                                              const v1::ServiceProfile& profile) {
  if (!profile.spec().published()) return std::nullopt;
  const auto definition = context.snapshot.find<v1::ServiceDefinition>(profile.spec().definition());
  if (!definition) return std::nullopt;
  if (!tenant.empty() && !available(context.snapshot, profile, subject_of(context, tenant)))
    return std::nullopt;
  auto entry = entry_of(profile, *definition);
  if (!tenant.empty()) entry.mutable_status()->set_usable("yes");
  return entry;
}

Result<v1::ListCatalogResponse> list_catalog(const ReadContext& context,
                                             const v1::ListCatalogRequest& request) {
  const auto& snapshot = context.snapshot;
  PENSTOCK_CHECK(authorize_catalog(snapshot, context.who, request.tenant()));
  std::shared_ptr<const v1::VirtualMachine> vm;
  if (!request.vm().empty()) {
    const auto key = ObjectKey::of<v1::VirtualMachine>(request.tenant(), request.vm());
    vm = snapshot.find<v1::VirtualMachine>(request.tenant(), request.vm());
    PENSTOCK_CHECK(authorize(snapshot, context.who, Action::kRead, key, vm.get()));
    if (!vm) return not_found(key);
  }
  v1::ListCatalogResponse response;
  response.set_revision(snapshot.revision());
  snapshot.each<v1::ServiceProfile>([&](const v1::ServiceProfile& profile) {
    auto entry = catalog_entry(context, request.tenant(), profile);
    if (!entry) return;
    auto& status = *entry->mutable_status();
    if (vm) judge_for_vm(context, request.tenant(), profile, vm, status);
    if (!request.category().empty() &&
        std::ranges::find(status.categories(), request.category()) == status.categories().end())
      return;
    if (!found_by(*entry, request.query())) return;
    *response.add_entries() = std::move(*entry);
  });
  return response;
}

namespace {

template <typename Request>
Result<v1::Enablement> proposed_by(const Request& request) {
  v1::Enablement enablement;
  enablement.mutable_metadata()->set_tenant(request.tenant());
  auto& spec = *enablement.mutable_spec();
  spec.set_profile(request.profile());
  switch (request.target_case()) {
    case Request::kVm:
      spec.set_vm(request.vm());
      break;
    case Request::kNic:
      *spec.mutable_nic() = request.nic();
      break;
    case Request::kPool:
      spec.set_pool(request.pool());
      break;
    case Request::kNetwork:
      spec.set_network(request.network());
      break;
    default:
      return fail_field("vm", "on what?", "one of vm, nic, pool, network is needed");
  }
  if (request.tenant().empty())
    return fail_field("tenant", "whose?", "name a tenant: --tenant NAME");
  if (request.profile().empty())
    return fail_field("profile", "a profile is needed", "see: penstock catalog");
  return enablement;
}

std::string target_text(const v1::EnablementSpec& spec) {
  if (spec.has_vm()) return "vm/" + spec.vm();
  if (spec.has_nic()) return fmt::format("nic/{}/{}", spec.nic().vm(), spec.nic().nic());
  if (spec.has_pool()) return "pool/" + spec.pool();
  return "network/" + spec.network();
}

std::string default_name(const v1::EnablementSpec& spec) {
  auto target = target_text(spec);
  target.erase(0, target.find('/') + 1);
  std::ranges::replace(target, '/', '-');
  auto name = fmt::format("{}-{}", spec.profile(), target);
  return name.size() > 63 ? name.substr(0, 63) : name;
}

// Other enablements of the profile that go on covering what this one covered.
std::vector<std::string> still_on(const Snapshot& snapshot, const v1::Enablement& gone) {
  std::vector<std::string> lines;
  const auto& tenant = gone.metadata().tenant();
  const auto& spec = gone.spec();
  const auto& name = spec.has_nic() ? spec.nic().vm() : spec.vm();
  const auto vm = name.empty() ? nullptr : snapshot.find<v1::VirtualMachine>(tenant, name);
  if (!vm) return lines;
  for (const auto& other : covering(snapshot, tenant, *vm))
    if (other->spec().profile() == spec.profile() &&
        other->metadata().name() != gone.metadata().name())
      lines.push_back(
          fmt::format("{} is still on through {}", spec.profile(), target_text(other->spec())));
  return lines;
}

}  // namespace

Result<Planned> plan_enable(const PlanContext& context, const v1::EnableRequest& request,
                            Write& write) {
  PENSTOCK_CHECK(authorize_tenant(context.who, request.tenant()));
  auto enablement = PENSTOCK_TRY(proposed_by(request));
  enablement.mutable_spec()->set_level(request.level());
  enablement.mutable_spec()->set_observe(request.observe());
  const auto existing = find_enablement(context.snapshot, enablement);
  if (existing) {
    // The same intent under the name it has; a level not named stays.
    auto changed = *existing;
    changed.mutable_metadata()->clear_resource_version();
    if (!request.level().empty()) changed.mutable_spec()->set_level(request.level());
    if (request.has_observe()) changed.mutable_spec()->set_observe(request.observe());
    return plan_put(context, changed, false, write);
  }
  auto name = request.name().empty() ? default_name(enablement.spec()) : request.name();
  // A pool may be called like a VM; admission names by the kind of target too.
  if (request.name().empty() && context.snapshot.find<v1::Enablement>(request.tenant(), name))
    name.clear();
  enablement.mutable_metadata()->set_name(std::move(name));
  // A name that stands for something else by chance must not be overwritten.
  return plan_put(context, enablement, true, write);
}

Result<Planned> plan_disable(const PlanContext& context, const v1::DisableRequest& request,
                             Write& write) {
  PENSTOCK_CHECK(authorize_tenant(context.who, request.tenant()));
  const auto like = PENSTOCK_TRY(proposed_by(request));
  const auto existing = find_enablement(context.snapshot, like);
  if (!existing) {
    const auto others = still_on(context.snapshot, like);
    return fail(Code::kNotFound,
                fmt::format("profile {} is not enabled on {} of tenant {}", request.profile(),
                            target_text(like.spec()), request.tenant()),
                others.empty() ? "see what is: penstock get enablements" : others.front());
  }
  v1::DeleteRequest erase;
  erase.set_kind("Enablement");
  erase.set_tenant(request.tenant());
  erase.set_name(existing->metadata().name());
  auto planned = PENSTOCK_TRY(plan_delete(context, erase, write));
  write.warnings = still_on(context.snapshot, *existing);
  return planned;
}

}  // namespace penstock
