#include "model/admit.h"

#include <algorithm>

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include "model/allocate.h"
#include "model/approval.h"
#include "model/ids.h"
#include "model/json_names.h"
#include "model/labels.h"
#include "model/mandatory.h"
#include "model/quota.h"
#include "model/validate/validate.h"

namespace penstock {
namespace {

using google::protobuf::FieldDescriptor;

// Less than store_txn_max_bytes with room for the transaction around it.
constexpr std::size_t kObjectMost = 900 * 1024;
constexpr std::size_t kAnnotationsMost = 64 * 1024;

bool equal(const Message& a, const Message& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

// Fields that only the server sets, wherever they are: a client's values never get in.
void clear_output_only(Message& message) {
  const auto& r = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  r.ListFields(message, &fields);
  for (const auto* field : fields) {
    if (rule_of(field).output_only()) {
      r.ClearField(&message, field);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map()) {
      if (!field->is_repeated()) {
        clear_output_only(*r.MutableMessage(&message, field));
      } else {
        for (int i = 0; i < r.FieldSize(message, field); ++i)
          clear_output_only(*r.MutableRepeatedMessage(&message, field, i));
      }
    }
  }
}

void check_immutable(const Message& before, const Message& after, Problems& problems,
                     const std::string& path) {
  const auto* type = before.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    if (field->is_repeated()) continue;
    const auto at = field_path(path, field->json_name());
    const auto &rb = *before.GetReflection(), &ra = *after.GetReflection();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (rb.HasField(before, field) && ra.HasField(after, field))
        check_immutable(rb.GetMessage(before, field), ra.GetMessage(after, field), problems, at);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && rule_of(field).immutable() &&
               rb.GetString(before, field) != ra.GetString(after, field)) {
      problems.add(at, fmt::format("may not change after creation (it is \"{}\")",
                                   rb.GetString(before, field)));
    }
  }
}

void check_metadata(const Message& object, const Snapshot& snapshot, Problems& problems) {
  const auto& kind = kind_of(object);
  const auto& metadata = metadata_of(object);
  check_name(metadata.name(), problems, "metadata.name");
  if (kind.tenant_scoped && metadata.tenant().empty())
    problems.add("metadata.tenant", "is required");
  else if (kind.tenant_scoped)
    check_exists<v1::Tenant>(snapshot, "", metadata.tenant(), problems, "metadata.tenant");
  else if (!metadata.tenant().empty())
    problems.add("metadata.tenant", fmt::format("{} has no tenant", kind.name), "remove it");
  check_labels(metadata.labels(), problems, "metadata.labels");
  std::size_t annotations = 0;
  for (const auto& [key, value] : metadata.annotations()) annotations += key.size() + value.size();
  if (annotations > kAnnotationsMost)
    problems.add("metadata.annotations",
                 fmt::format("{} bytes: at most {}", annotations, kAnnotationsMost));
}

using Validate = void (*)(const Message&, const ValidateContext&, Problems&);
template <typename T>
void validate_as(const Message& object, const ValidateContext& context, Problems& problems) {
  validate(static_cast<const T&>(object), context, problems);
}
template <typename... Types>
void validate_any(const Message& object, const ValidateContext& context, Problems& problems) {
  const auto* type = object.GetDescriptor();
  (void)((type == Types::descriptor() && (validate_as<Types>(object, context, problems), true)) ||
         ...);
}

void give_uid(Message& object, const Snapshot& snapshot, const AdmitContext& context) {
  auto& metadata = mutable_metadata_of(object);
  const auto draw = [&] {
    metadata.set_uid(fmt::format("{:016x}{:016x}", context.random(), context.random()));
  };
  draw();
  if (object.GetDescriptor() != v1::Tenant::descriptor()) return;
  // Ids of groups tell tenants apart by their tag.
  const auto taken = [&] {
    const auto tag = tenant_tag(metadata.uid());
    bool met = false;
    snapshot.each<v1::Tenant>(
        [&](const v1::Tenant& other) { met |= tenant_tag(other.metadata().uid()) == tag; });
    return met;
  };
  while (taken()) draw();
}

const Message& spec_of(const Message& object) {
  const auto* field = object.GetDescriptor()->FindFieldByName("spec");
  return object.GetReflection()->GetMessage(object, field);
}

Status check_version(const Message& proposed, const MessagePtr& existing,
                     std::int64_t mod_revision) {
  const auto& wanted = metadata_of(proposed).resource_version();
  if (wanted.empty()) return {};
  const auto about = key_of(proposed).describe();
  if (!existing)
    return fail(Code::kConflict,
                fmt::format("{} does not exist; the request was for revision {}", about, wanted));
  if (wanted != std::to_string(mod_revision))
    return fail(Code::kConflict,
                fmt::format("{} has changed: it is at revision {}, the request was for {}", about,
                            mod_revision, wanted),
                "read it again and repeat the change");
  return {};
}

void settle(Message& object, const Message* existing, const Snapshot& snapshot,
            const AdmitContext& context) {
  if (object.GetDescriptor() != v1::Enablement::descriptor()) return;
  auto& enablement = static_cast<v1::Enablement&>(object);
  if (const auto profile = snapshot.find<v1::ServiceProfile>(enablement.spec().profile()))
    settle_approval(enablement, static_cast<const v1::Enablement*>(existing), *profile, context);
}

}  // namespace

void set_time(google::protobuf::Timestamp& out, WallTime time) {
  const auto ns = time.since_epoch.count();
  out.set_seconds(ns / 1'000'000'000);
  out.set_nanos(static_cast<int>(ns % 1'000'000'000));
}

Result<Admission> admit(const Snapshot& snapshot, const Message& proposed,
                        const AdmitContext& context) {
  const auto& kind = kind_of(proposed);
  if (kind.read_only)
    return fail(Code::kInvalidArgument, fmt::format("{} is made by the server", kind.name));

  std::unique_ptr<Message> object(proposed.New());
  object->CopyFrom(proposed);
  clear_output_only(*object);
  mutable_metadata_of(*object).clear_resource_version();
  name_if_nameless(*object);

  const auto key = key_of(*object);
  const auto existing = snapshot.find(key);
  PENSTOCK_CHECK(check_version(proposed, existing, snapshot.mod_revision(key)));

  Problems problems;
  std::optional<Error> refusal;
  check_metadata(*object, snapshot, problems);
  if (existing) {
    check_immutable(*existing, *object, problems, "");
    inherit(*object, *existing);
  }
  fill_defaults(*object, snapshot, context, existing != nullptr);
  settle(*object, existing.get(), snapshot, context);
  const ValidateContext validating{snapshot, context, existing.get(), &refusal};
  validate_any<v1::Tenant, v1::User, v1::Group, v1::Token, v1::Cluster, v1::Host,
               v1::VirtualNetwork, v1::VirtualMachine, v1::VmPool, v1::ServiceDefinition,
               v1::ServiceProfile, v1::Enablement>(*object, validating, problems);
  if (object->ByteSizeLong() > kObjectMost)
    problems.add("", fmt::format("{} bytes: at most {}", object->ByteSizeLong(), kObjectMost));
  PENSTOCK_CHECK(problems.status(key.describe()));
  if (refusal) return std::unexpected(std::move(*refusal));
  if (existing && !context.user_is_administrator)
    PENSTOCK_CHECK(check_mandatory_stays(snapshot, *existing, *object));
  PENSTOCK_CHECK(check_quota(snapshot, *object, existing.get()));

  Admission out;
  PENSTOCK_CHECK(allocate(*object, existing.get(), snapshot, context, out));
  auto& metadata = mutable_metadata_of(*object);
  if (existing) {
    const auto& before = metadata_of(*existing);
    metadata.set_uid(before.uid());
    *metadata.mutable_created_at() = before.created_at();
    metadata.set_generation(before.generation() +
                            (equal(spec_of(*existing), spec_of(*object)) ? 0 : 1));
    if (equal(*existing, *object)) {
      out.object = existing;
      out.edits.clear();
      return out;
    }
  } else {
    give_uid(*object, snapshot, context);
    set_time(*metadata.mutable_created_at(), context.now);
    metadata.set_generation(1);
    out.created = true;
  }
  // The store's reader has a depth at which it gives up (protobuf: 100 messages in one another, a
  // level of a Struct is three). What it could not read back would keep the server from starting.
  if (std::unique_ptr<Message> read(object->New()); !read->ParseFromString(serialize(*object)))
    return fail(Code::kInvalidArgument,
                fmt::format("{} is nested too deeply to be kept", key.describe()),
                "16 objects in one another are possible in free-form fields such as parameters");
  out.changed = true;
  out.object = std::move(object);
  out.edits.insert(out.edits.begin(), Edit::put(out.object));
  return out;
}

std::shared_ptr<const v1::Enablement> find_enablement(const Snapshot& snapshot,
                                                      const v1::Enablement& like) {
  const auto& tenant = like.metadata().tenant();
  const auto& spec = like.spec();
  std::vector<std::string> names;
  switch (spec.target_case()) {
    case v1::EnablementSpec::kVm:
      names = snapshot.enablements_on_vm(tenant, spec.vm());
      break;
    case v1::EnablementSpec::kNic:
      names = snapshot.enablements_on_nic(tenant, spec.nic().vm(), spec.nic().nic());
      break;
    case v1::EnablementSpec::kPool:
      names = snapshot.enablements_on_pool(tenant, spec.pool());
      break;
    case v1::EnablementSpec::kNetwork:
      names = snapshot.enablements_on_network(tenant, spec.network());
      break;
    case v1::EnablementSpec::TARGET_NOT_SET:
      break;
  }
  for (const auto& name : names)
    if (auto found = snapshot.find<v1::Enablement>(tenant, name);
        found->spec().profile() == spec.profile())
      return found;
  return nullptr;
}

}  // namespace penstock
