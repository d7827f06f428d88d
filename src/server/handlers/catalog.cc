#include "server/handlers/catalog.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include <fmt/ranges.h>

#include "model/approval.h"
#include "model/availability.h"
#include "server/handlers/approval.h"
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
  const auto text = lower(fmt::format("{} {} {} {} {} {}", entry.metadata().name(), status.vendor(),
                                      status.service_name(), status.description(), status.kind(),
                                      fmt::join(status.categories(), " ")));
  std::istringstream words(lower(query));
  for (std::string word; words >> word;)
    if (text.find(word) == text.npos) return false;
  return true;
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

// Why it may not be on the VM; a VM with several NICs may be able to have it on some.
std::string why_not_on_vm(const ReadContext& context, const v1::ServiceProfile& profile,
                          Subject subject) {
  const auto why = why_not_available(context.snapshot, profile, subject);
  if (why.empty()) return {};
  auto text = why.for_reader(context.who.administrator());
  if (subject.vm->spec().nics_size() < 2) return text;
  for (const auto& nic : subject.vm->spec().nics()) {
    subject.network = nic.network();
    if (!available(context.snapshot, profile, subject)) continue;
    return fmt::format("{}; it can be on nic/{}/{}", text, subject.vm->metadata().name(),
                       nic.name());
  }
  return text;
}

// Enabling would ask somebody first.
bool asks_first(const ReadContext& context, const v1::ServiceProfile& profile) {
  return profile.spec().has_approval() && !context.who.administrator() &&
         !may_decide(profile, context.who.groups);
}

void say_on(const v1::ServiceProfile& profile, const v1::Enablement& enablement,
            v1::CatalogEntryStatus& status) {
  const auto& spec = enablement.spec();
  status.set_usable("on");
  status.set_mandatory(spec.mandatory());
  status.set_observe(spec.observe() || profile.spec().observe());
  status.set_why_not(fmt::format("{}{}level {}, {}", spec.mandatory() ? "mandatory, " : "",
                                 status.observe() ? "observing: not protected, " : "", spec.level(),
                                 Compiler::covers_by(enablement)));
}

using Covering = std::vector<std::shared_ptr<const v1::Enablement>>;

// What is not for this VM stays in the catalog, with why.
void judge_for_vm(const ReadContext& context, const std::string& tenant,
                  const v1::ServiceProfile& profile,
                  const std::shared_ptr<const v1::VirtualMachine>& vm, const Covering& covering,
                  v1::CatalogEntryStatus& status) {
  std::shared_ptr<const v1::Enablement> asked;
  for (const auto& enablement : covering) {
    if (enablement->spec().profile() != profile.metadata().name()) continue;
    if (in_force(*enablement)) return say_on(profile, *enablement, status);
    if (!asked) asked = enablement;
  }
  auto subject = subject_of(context, tenant);
  subject.vm = vm;
  const auto say = [&](const char* usable, std::string why) {
    status.set_usable(usable);
    status.set_why_not(std::move(why));
  };
  if (auto why = why_not_on_vm(context, profile, subject); !why.empty())
    return say("no", std::move(why));
  if (asked) return say("ask", approval_text(asked->spec().approval(), context.now));
  if (auto why = why_not_on_host(context, *vm, key_of(profile)); !why.empty())
    return say("no", std::move(why));
  if (asks_first(context, profile)) return say("ask", needs_approval_text(profile));
  say("yes", "");
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
                                              const v1::ServiceProfile& profile, bool on) {
  if (!profile.spec().published()) return std::nullopt;
  const auto definition = context.snapshot.find<v1::ServiceDefinition>(profile.spec().definition());
  if (!definition) return std::nullopt;
  if (!tenant.empty() && !on && !available(context.snapshot, profile, subject_of(context, tenant)))
    return std::nullopt;
  auto entry = entry_of(profile, *definition);
  if (tenant.empty()) return entry;
  const bool asks = asks_first(context, profile);
  entry.mutable_status()->set_usable(asks ? "ask" : "yes");
  if (asks) entry.mutable_status()->set_why_not(needs_approval_text(profile));
  return entry;
}

Status each_catalog_entry(const ReadContext& context, const v1::ListCatalogRequest& request,
                          std::string_view after,
                          const std::function<bool(v1::CatalogEntry)>& visit) {
  const auto& snapshot = context.snapshot;
  PENSTOCK_CHECK(authorize_catalog(snapshot, context.who, request.tenant()));
  std::shared_ptr<const v1::VirtualMachine> vm;
  if (!request.vm().empty()) {
    const auto key = ObjectKey::of<v1::VirtualMachine>(request.tenant(), request.vm());
    vm = snapshot.find<v1::VirtualMachine>(request.tenant(), request.vm());
    PENSTOCK_CHECK(authorize(snapshot, context.who, Action::kRead, key, vm.get()));
    if (!vm) return not_found(key);
  }
  const auto covering = vm ? enablements_covering(snapshot, *vm) : Covering();
  const auto take = [&](const v1::ServiceProfile& profile) {
    const bool on = std::ranges::any_of(covering, [&](const auto& enablement) {
      return enablement->spec().profile() == profile.metadata().name();
    });
    auto entry = catalog_entry(context, request.tenant(), profile, on);
    if (!entry) return true;
    auto& status = *entry->mutable_status();
    if (vm) judge_for_vm(context, request.tenant(), profile, vm, covering, status);
    if (!request.category().empty() &&
        std::ranges::find(status.categories(), request.category()) == status.categories().end())
      return true;
    if (!found_by(*entry, request.query())) return true;
    return visit(std::move(*entry));
  };
  if (request.tenant().empty()) {
    snapshot.each_after(ObjectKey::of<v1::ServiceProfile>("", after),
                        [&](const ObjectKey&, const MessagePtr& object, std::int64_t) {
                          return take(static_cast<const v1::ServiceProfile&>(*object));
                        });
    return {};
  }
  const auto offered = snapshot.profiles_offered_to(request.tenant());
  std::set<std::string> names(offered.begin(), offered.end());
  for (const auto& enablement : covering) names.insert(enablement->spec().profile());
  for (auto name = names.upper_bound(std::string(after)); name != names.end(); ++name)
    if (const auto profile = snapshot.find<v1::ServiceProfile>(*name); profile && !take(*profile))
      break;
  return {};
}

Result<v1::ListCatalogResponse> list_catalog(const ReadContext& context, Pages& pages, WallTime now,
                                             const v1::ListCatalogRequest& request) {
  const auto page =
      PENSTOCK_TRY(parse_page(context.tunables, request.limit(), request.continue_()));
  const auto snapshot = PENSTOCK_TRY(pages.of(page, context.snapshot));
  const ReadContext pinned{snapshot,        context.who,      context.status,
                           context.journal, context.tunables, context.now};
  v1::ListCatalogResponse response;
  response.set_revision(snapshot.revision());
  int remaining = 0;
  PENSTOCK_CHECK(each_catalog_entry(pinned, request, page.from ? page.from->name : "",
                                    [&](v1::CatalogEntry entry) {
                                      if (response.entries_size() < page.limit)
                                        *response.add_entries() = std::move(entry);
                                      else
                                        ++remaining;
                                      return true;
                                    }));
  if (remaining == 0) return response;
  const auto& last = response.entries(page.limit - 1).metadata().name();
  response.set_remaining(remaining);
  response.set_continue_(ContinueToken{snapshot.revision(), "", last}.text());
  pages.keep(snapshot, now);
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
  for (const auto& other : enablements_covering(snapshot, *vm))
    if (in_force(*other) && other->spec().profile() == spec.profile() &&
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
  enablement.mutable_spec()->set_mandatory(request.mandatory());
  const auto existing = find_enablement(context.snapshot, enablement);
  if (existing) {
    // The same intent under the name it has; a level not named stays.
    auto changed = *existing;
    changed.mutable_metadata()->clear_resource_version();
    auto& spec = *changed.mutable_spec();
    if (!request.level().empty()) spec.set_level(request.level());
    if (request.has_observe()) spec.set_observe(request.observe());
    if (request.has_mandatory()) spec.set_mandatory(request.mandatory());
    auto planned =
        PENSTOCK_TRY(plan_put(context, changed, false, write, AdmitContext::Purpose::kEnable));
    if (const auto& after = static_cast<const v1::Enablement&>(*write.object);
        in_force(*existing) && !in_force(after))
      write.warnings.push_back(
          fmt::format("{} is off from now until the change to level {} is granted: it was on at "
                      "level {}",
                      after.spec().profile(), after.spec().level(), existing->spec().level()));
    return planned;
  }
  auto name = request.name().empty() ? default_name(enablement.spec()) : request.name();
  // A pool may be called like a VM; admission names by the kind of target too.
  if (request.name().empty() && context.snapshot.find<v1::Enablement>(request.tenant(), name))
    name.clear();
  enablement.mutable_metadata()->set_name(std::move(name));
  // A name that stands for something else by chance must not be overwritten.
  return plan_put(context, enablement, true, write, AdmitContext::Purpose::kEnable);
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
  if (existing->spec().approval().state() == v1::ApprovalDecision::ASKED)
    write.warnings.push_back("it was not on yet: the request for approval is withdrawn");
  return planned;
}

}  // namespace penstock
