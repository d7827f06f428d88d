#include "model/kinds.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "base/ensure.h"

namespace penstock {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::vector<Kind> read_kinds() {
  std::vector<Kind> out;
  const auto* object = v1::Object::descriptor();
  for (int i = 0; i < object->field_count(); ++i) {
    const auto* field = object->field(i);
    const auto& option = field->message_type()->options().GetExtension(v1::resource);
    Kind kind;
    kind.name = field->message_type()->name();
    kind.plural = option.plural();
    kind.aliases.assign(option.aliases().begin(), option.aliases().end());
    kind.tenant_scoped = option.tenant_scoped();
    kind.read_only = option.read_only();
    kind.columns.assign(option.columns().begin(), option.columns().end());
    kind.descriptor = field->message_type();
    kind.object_field = field;
    kind.prototype =
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(field->message_type());
    kind.index = out.size();
    out.push_back(std::move(kind));
  }
  return out;
}

// Letters too many, missing, wrong, or swapped with their neighbour.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::span<const Kind> kinds() {
  static const std::vector<Kind> table = read_kinds();
  return table;
}

Result<const Kind*> find_kind(std::string_view spelling) {
  const auto word = lower(spelling);
  std::vector<std::string> all;
  for (const auto& kind : kinds()) {
    std::vector<std::string> names = kind.aliases;
    names.push_back(lower(kind.name));
    names.push_back(kind.plural);
    if (std::ranges::find(names, word) != names.end()) return &kind;
    all.push_back(kind.name);
    all.push_back(kind.plural);
    all.insert(all.end(), kind.aliases.begin(), kind.aliases.end());
  }
  auto hint = did_you_mean(word, all);
  if (hint.empty()) {
    hint = "kinds:";
    for (const auto& kind : kinds()) hint += " " + kind.plural;
  }
  return fail(Code::kNotFound, fmt::format("there is no kind \"{}\"", spelling), hint);
}

const Kind* kind_of(const google::protobuf::Descriptor* descriptor) {
  for (const auto& kind : kinds())
    if (kind.descriptor == descriptor) return &kind;
  return nullptr;
}

const Kind& kind_of(const Message& message) {
  const Kind* kind = kind_of(message.GetDescriptor());
  ensure(kind, "the message is of a kind of object");
  return *kind;
}

std::strong_ordering ObjectKey::operator<=>(const ObjectKey& other) const {
  const auto index = [](const Kind* k) { return k ? k->index + 1 : 0; };
  if (auto c = index(kind) <=> index(other.kind); c != 0) return c;
  if (auto c = tenant <=> other.tenant; c != 0) return c;
  return name <=> other.name;
}

std::string ObjectKey::text() const {
  return tenant.empty() ? name : tenant + "/" + name;
}

std::string ObjectKey::describe() const {
  return kind->name + " " + text();
}

std::string ObjectKey::store_key() const {
  return fmt::format("{}{}/{}/{}", kStorePrefix, kind->plural, tenant.empty() ? "-" : tenant, name);
}

Result<ObjectKey> ObjectKey::parse_store_key(std::string_view text) {
  const auto bad = [&] {
    return fail(Code::kInternal, fmt::format("\"{}\" is not a key of an object", text));
  };
  if (!text.starts_with(kStorePrefix)) return bad();
  auto rest = text.substr(kStorePrefix.size());
  const auto first = rest.find('/');
  if (first == rest.npos) return bad();
  const auto second = rest.find('/', first + 1);
  if (second == rest.npos || rest.find('/', second + 1) != rest.npos) return bad();
  const auto plural = rest.substr(0, first);
  const auto kind = std::ranges::find(kinds(), plural, &Kind::plural);
  if (kind == kinds().end()) return bad();
  ObjectKey key{&*kind, std::string(rest.substr(first + 1, second - first - 1)),
                std::string(rest.substr(second + 1))};
  if (key.tenant == "-") key.tenant.clear();
  if (key.name.empty() || key.tenant.empty() == kind->tenant_scoped) return bad();
  return key;
}

v1::Reference ObjectKey::reference() const {
  v1::Reference reference;
  reference.set_kind(kind->name);
  reference.set_tenant(tenant);
  reference.set_name(name);
  return reference;
}

const v1::Metadata& metadata_of(const Message& object) {
  const auto* field = object.GetDescriptor()->FindFieldByName("metadata");
  ensure(field, "every kind has metadata");
  return static_cast<const v1::Metadata&>(object.GetReflection()->GetMessage(object, field));
}

v1::Metadata& mutable_metadata_of(Message& object) {
  const auto* field = object.GetDescriptor()->FindFieldByName("metadata");
  ensure(field, "every kind has metadata");
  return static_cast<v1::Metadata&>(*object.GetReflection()->MutableMessage(&object, field));
}

ObjectKey key_of(const Message& object) {
  const auto& metadata = metadata_of(object);
  return {&kind_of(object), metadata.tenant(), metadata.name()};
}

v1::Object wrap(const Message& object) {
  v1::Object out;
  out.GetReflection()->MutableMessage(&out, kind_of(object).object_field)->CopyFrom(object);
  return out;
}

const Message* unwrap(const v1::Object& object) {
  const auto* reflection = object.GetReflection();
  const auto* field =
      reflection->GetOneofFieldDescriptor(object, v1::Object::descriptor()->oneof_decl(0));
  return field ? &reflection->GetMessage(object, field) : nullptr;
}

std::string serialize(const Message& message) {
  std::string out;
  {
    google::protobuf::io::StringOutputStream stream(&out);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    ensure(message.SerializeToCodedStream(&coded), "a string takes what is written to it");
  }
  return out;
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.size() > 64) return {};
  const auto small = lower(word);
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    if (candidate.size() > 64) continue;
    const auto d = distance(small, lower(candidate));
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto best = nearest(word, candidates);
  return best.empty() ? "" : fmt::format("did you mean \"{}\"?", best);
}

}  // namespace penstock
