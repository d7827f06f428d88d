#include "server/handlers/resources.h"

#include <algorithm>

#include <google/protobuf/util/message_differencer.h>

#include "model/approval.h"
#include "model/mandatory.h"
#include "server/handlers/approval.h"
#include "server/handlers/catalog.h"
#include "server/secret.h"

namespace penstock {

Result<v1::Object> get_object(const ReadContext& context, const v1::GetRequest& request) {
  const auto key = PENSTOCK_TRY(parse_key(request.kind(), request.tenant(), request.name()));
  if (key.kind == &kind_of<v1::CatalogEntry>()) {
    v1::ListCatalogRequest list;
    list.set_tenant(request.tenant());
    std::optional<v1::Object> found;
    PENSTOCK_CHECK(each_catalog_entry(context, list, "", [&](v1::CatalogEntry entry) {
      if (entry.metadata().name() == request.name()) found = wrap(entry);
      return !found;
    }));
    if (!found) return not_found(key);
    return *found;
  }
  const auto* recent = context.journal.of(*key.kind);
  MessagePtr object = recent ? recent->find(key.name) : context.snapshot.find(key);
  PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kRead, key, object.get()));
  if (!object) return not_found(key);
  return shown(context, key, *object);
}

namespace {

struct ListPlan {
  const Kind* kind;
  std::string tenant;
  v1::LabelSelector selector;
  bool selective = false;
  PageRequest page;
};

Result<ListPlan> plan_list(const Tunables& tunables, const v1::ListRequest& request) {
  ListPlan plan{};
  if (request.kind().empty())
    return fail_field("kind", "a kind is needed", "for example \"VirtualMachine\"");
  plan.kind = PENSTOCK_TRY(find_kind(request.kind()));
  plan.tenant = request.tenant();
  plan.page = PENSTOCK_TRY(parse_page(tunables, request.limit(), request.continue_()));
  if (!request.label_selector().empty()) {
    plan.selector = PENSTOCK_TRY(parse_selector(request.label_selector()));
    plan.selective = true;
  }
  return plan;
}

v1::ListResponse list_recent(const ReadContext& context, const Recent& recent,
                             const ListPlan& plan) {
  v1::ListResponse response;
  response.set_revision(context.snapshot.revision());
  recent.each_after(plan.page.from ? plan.page.from->name : "", [&](const MessagePtr& entry) {
    const auto key = key_of(*entry);
    if (!plan.tenant.empty() && Journal::tenant_of(*entry) != plan.tenant) return true;
    if (plan.selective && !matches(plan.selector, metadata_of(*entry).labels())) return true;
    if (!may_read(context.snapshot, context.who, key, entry.get())) return true;
    if (response.items_size() == plan.page.limit) {
      const auto& last = metadata_of(*unwrap(response.items(plan.page.limit - 1)));
      response.set_continue_(ContinueToken{response.revision(), "", last.name()}.text());
      return false;
    }
    *response.add_items() = shown(context, key, *entry);
    return true;
  });
  return response;
}

}  // namespace

Result<v1::ListResponse> list_objects(const ReadContext& context, Pages& pages, WallTime now,
                                      const v1::ListRequest& request) {
  const auto plan = PENSTOCK_TRY(plan_list(context.tunables, request));
  if (!plan.tenant.empty()) {
    PENSTOCK_CHECK(authorize_tenant(context.who, plan.tenant));
    if (!context.snapshot.find<v1::Tenant>(plan.tenant))
      return not_found(ObjectKey::of<v1::Tenant>("", plan.tenant));
  }
  if (const auto* recent = context.journal.of(*plan.kind))
    return list_recent(context, *recent, plan);
  if (plan.kind == &kind_of<v1::CatalogEntry>()) {
    v1::ListCatalogRequest list;
    list.set_tenant(plan.tenant);
    list.set_limit(request.limit());
    list.set_continue_(request.continue_());
    const auto listed = PENSTOCK_TRY(list_catalog(context, pages, now, list));
    v1::ListResponse response;
    response.set_revision(listed.revision());
    response.set_continue_(listed.continue_());
    response.set_remaining(listed.remaining());
    for (const auto& entry : listed.entries()) *response.add_items() = wrap(entry);
    return response;
  }
  const auto snapshot = PENSTOCK_TRY(pages.of(plan.page, context.snapshot));
  const ReadContext pinned{snapshot,        context.who,      context.status,
                           context.journal, context.tunables, context.now};
  v1::ListResponse response;
  response.set_revision(snapshot.revision());
  int remaining = 0;
  ObjectKey last;
  const auto visit = [&](const ObjectKey& key, const MessagePtr& object, std::int64_t) {
    if (key.kind != plan.kind) return false;
    if (!plan.tenant.empty() && plan.kind->tenant_scoped && key.tenant != plan.tenant)
      return key.tenant < plan.tenant;
    if (plan.page.from &&
        std::tie(key.tenant, key.name) <= std::tie(plan.page.from->tenant, plan.page.from->name))
      return true;
    if (plan.selective && !matches(plan.selector, metadata_of(*object).labels())) return true;
    if (!may_read(snapshot, context.who, key, object.get())) return true;
    if (response.items_size() < plan.page.limit) {
      *response.add_items() = shown(pinned, key, *object);
      last = key;
    } else {
      ++remaining;
    }
    return true;
  };
  if (plan.page.from)
    snapshot.each_after({plan.kind, plan.page.from->tenant, plan.page.from->name}, visit);
  else if (!plan.tenant.empty() && plan.kind->tenant_scoped)
    snapshot.each(*plan.kind, plan.tenant, visit);
  else
    snapshot.each(*plan.kind, visit);
  if (remaining > 0) {
    response.set_remaining(remaining);
    response.set_continue_(ContinueToken{snapshot.revision(), last.tenant, last.name}.text());
    pages.keep(snapshot, now);
  }
  return response;
}

// --- writes

namespace {

std::unexpected<Error> exists_already(const ObjectKey& key) {
  return fail(Code::kAlreadyExists, key.describe() + " exists already",
              fmt::format("look at it: penstock describe {} {}", key.kind->name, key.text()));
}

// A token's secret is made here, once, and only its hash goes on.
void give_secret(const PlanContext& context, Admission& admission, Write& write) {
  auto token = std::make_shared<v1::Token>(static_cast<const v1::Token&>(*admission.object));
  if (write.secret.empty()) write.secret = new_secret(context.runtime);
  token->mutable_spec()->set_sha256(secret_hash(write.secret));
  token->clear_status();
  for (auto& edit : admission.edits)
    if (edit.object == admission.object) edit = Edit::put(token);
  admission.object = token;
}

}  // namespace

namespace {

// Who writes names what shall be, so "does not exist" is no answer, whether the object can be seen
// or not.
Status may_replace(const PlanContext& context, const ObjectKey& key, const Message& existing,
                   const Message& proposed) {
  const auto& snapshot = context.snapshot;
  const auto& who = context.who;
  if (auto may = authorize(snapshot, who, Action::kUpdate, key, &existing); !may) {
    if (may.error().code != Code::kNotFound) return may;
    PENSTOCK_CHECK(authorize(snapshot, who, Action::kCreate, key, &proposed));
    return fail(Code::kPermissionDenied,
                fmt::format("the name of {} is taken, and user {} may not change it",
                            key.describe(), who.name),
                "choose another name");
  }
  auto may = authorize(snapshot, who, Action::kUpdate, key, &proposed);
  if (!may && may.error().code == Code::kNotFound)
    return fail(
        Code::kPermissionDenied,
        fmt::format("user {} may not make {} what the request says", who.name, key.describe()),
        "it would not be one of the user's own any more");
  return may;
}

// A definition that profiles are made of is what runs in switches. The profile is the
// administrator's word that it may, so only an administrator changes what it stands for.
Status may_change_what_runs(const PlanContext& context, const Message& existing, Write& write) {
  const auto* before = dynamic_cast<const v1::ServiceDefinition*>(&existing);
  if (!before) return {};
  const auto& after = static_cast<const v1::ServiceDefinition&>(*write.object);
  if (google::protobuf::util::MessageDifferencer::Equals(before->spec(), after.spec())) return {};
  std::string published;
  std::size_t enablements = 0;
  for (const auto& name : context.snapshot.profiles_of_definition(before->metadata().name())) {
    const auto profile = context.snapshot.find<v1::ServiceProfile>(name);
    if (!profile || !profile->spec().published()) continue;
    published += (published.empty() ? "" : ", ") + name;
    enablements += context.snapshot.enablements_of_profile(name).size();
  }
  if (published.empty()) return {};
  if (!context.who.administrator())
    return fail(Code::kPermissionDenied,
                fmt::format("{} is what the published profiles {} run: only an administrator may "
                            "change it",
                            write.key.describe(), published),
                "submit the new version under another name, or ask an administrator to apply it");
  write.warnings.push_back(fmt::format("published profiles follow at once: {}; {} enablement{}",
                                       published, enablements, enablements == 1 ? "" : "s"));
  return {};
}

}  // namespace

Result<Planned> plan_put(const PlanContext& context, const Message& proposed, bool must_be_new,
                         Write& write, AdmitContext::Purpose purpose) {
  const auto& kind = kind_of(proposed);
  if (kind.read_only)
    return fail(Code::kInvalidArgument,
                fmt::format("a {} is made by the server and cannot be written", kind.name));
  const auto key = key_of(proposed);
  const auto existing = key.name.empty() ? nullptr : context.snapshot.find(key);
  write.key = key;
  if (existing) {
    PENSTOCK_CHECK(may_replace(context, key, *existing, proposed));
    if (must_be_new) return exists_already(key);
  } else {
    PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kCreate, key, &proposed));
    if (kind.tenant_scoped && !key.tenant.empty() && !context.snapshot.find<v1::Tenant>(key.tenant))
      return not_found(ObjectKey::of<v1::Tenant>("", key.tenant));
  }
  auto admitting = context.admit_context();
  admitting.purpose = purpose;
  auto admission = PENSTOCK_TRY(admit(context.snapshot, proposed, admitting));
  if (admission.changed)
    PENSTOCK_CHECK(context.compiler.check_selectors(
        context.snapshot.with(admission.edits, context.snapshot.revision() + 1),
        key_of(*admission.object)));
  if (admission.created && &kind == &kind_of<v1::Token>()) give_secret(context, admission, write);
  write.key = key_of(*admission.object);
  // A name that the server gave may be that of an object which is there: the same questions again.
  if (const auto met = key.name.empty() ? context.snapshot.find(write.key) : nullptr) {
    PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kUpdate, write.key, met.get()));
    if (must_be_new) return exists_already(write.key);
  }
  write.object = admission.object;
  write.warnings = std::move(admission.warnings);
  if (&kind == &kind_of<v1::Enablement>()) {
    const auto& after = static_cast<const v1::Enablement&>(*admission.object);
    const auto before = context.snapshot.find(write.key);
    note_approval(static_cast<const v1::Enablement*>(before.get()), after, write);
    if (purpose == AdmitContext::Purpose::kPut && admission.changed && !in_force(after))
      write.warnings.push_back("it is asked for: nothing of it is on until that is granted");
  }
  if (existing && admission.changed)
    PENSTOCK_CHECK(may_change_what_runs(context, *existing, write));
  write.change = admission.created   ? v1::WriteOutcome::CREATED
                 : admission.changed ? v1::WriteOutcome::UPDATED
                                     : v1::WriteOutcome::UNCHANGED;
  if (!admission.changed && !admission.created) admission.edits.clear();
  return Planned{std::move(admission.edits), false};
}

Result<Planned> plan_delete(const PlanContext& context, const v1::DeleteRequest& request,
                            Write& write) {
  const auto key = PENSTOCK_TRY(parse_key(request.kind(), request.tenant(), request.name()));
  if (key.kind->read_only)
    return fail(Code::kInvalidArgument,
                fmt::format("a {} is made by the server and cannot be deleted", key.kind->name));
  write.key = key;
  const auto existing = context.snapshot.find(key);
  if (!existing) {
    PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kRead, key, nullptr));
    return not_found(key);
  }
  PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kDelete, key, existing.get()));
  const auto revision = context.snapshot.mod_revision(key);
  if (!request.resource_version().empty() && request.resource_version() != std::to_string(revision))
    return fail(Code::kConflict,
                fmt::format("{} was changed at revision {}; the request is about {}",
                            key.describe(), revision, request.resource_version()),
                "read it again");
  auto edits = PENSTOCK_TRY(deletion(context.snapshot, key, request.cascade()));
  if (!context.who.administrator()) PENSTOCK_CHECK(check_mandatory_stays(context.snapshot, edits));
  write.object = existing;
  write.change = v1::WriteOutcome::DELETED;
  write.deleted.clear();
  for (const auto& edit : edits) {
    if (!edit.key.kind) continue;
    const auto object = context.snapshot.find(edit.key);
    const auto action = edit.is_erase() ? Action::kDelete : Action::kUpdate;
    PENSTOCK_CHECK(authorize(context.snapshot, context.who, action, edit.key, object.get()));
    if (edit.is_erase()) write.deleted.push_back(edit.key);
  }
  return Planned{std::move(edits), true};
}

Result<Planned> plan_batch_item(const PlanContext& context, const v1::BatchItem& item,
                                Write& write) {
  if (item.has_put()) {
    const auto* object = unwrap(item.put());
    if (!object) return fail_field("put", "an object is needed");
    return plan_put(context, *object, false, write);
  }
  if (!item.has_delete_())
    return fail(Code::kInvalidArgument, "the item has neither \"put\" nor \"delete\"");
  v1::DeleteRequest request;
  request.set_kind(item.delete_().kind());
  request.set_tenant(item.delete_().tenant());
  request.set_name(item.delete_().name());
  return plan_delete(context, request, write);
}

}  // namespace penstock
