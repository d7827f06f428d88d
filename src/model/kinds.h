// The kinds of objects, read from the descriptors (option `resource`), and the names objects go by.
// Nothing else in the program lists kinds by hand.
#pragma once

#include <compare>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>

#include "base/error.h"
#include "penstock/v1/api.pb.h"

namespace penstock {

using Message = google::protobuf::Message;
using MessagePtr = std::shared_ptr<const Message>;

struct Kind {
  std::string name;    // "VirtualMachine"
  std::string plural;  // "vms"
  std::vector<std::string> aliases;
  bool tenant_scoped = false;
  bool read_only = false;  // made by the server, never stored
  std::vector<std::string> columns;
  const google::protobuf::Descriptor* descriptor = nullptr;
  const google::protobuf::FieldDescriptor* object_field = nullptr;  // of v1.Object
  const Message* prototype = nullptr;
  std::size_t index = 0;  // place in kinds()

  std::unique_ptr<Message> make() const { return std::unique_ptr<Message>(prototype->New()); }
};

// All kinds, in the order of v1.Object. Pointers into it stay valid and are equal for equal kinds.
std::span<const Kind> kinds();
// Name, plural or alias, in any case: "vm", "vms", "VirtualMachine". kNotFound: with "did you
// mean".
Result<const Kind*> find_kind(std::string_view spelling);
const Kind* kind_of(const google::protobuf::Descriptor*);  // nullptr: not a kind
const Kind& kind_of(const Message&);
template <typename T>
const Kind& kind_of() {
  return kind_of(T::default_instance());
}

// The name of one object. The tenant is empty for kinds without tenants.
struct ObjectKey {
  const Kind* kind = nullptr;
  std::string tenant;
  std::string name;

  template <typename T>
  static ObjectKey of(std::string_view tenant, std::string_view name) {
    return {&kind_of<T>(), std::string(tenant), std::string(name)};
  }

  bool operator==(const ObjectKey&) const = default;
  std::strong_ordering operator<=>(const ObjectKey& other) const;

  std::string text() const;       // "acme/web-1", or "h1" without a tenant
  std::string describe() const;   // "VirtualMachine acme/web-1"
  std::string store_key() const;  // "/penstock/v1/vms/acme/web-1", "/penstock/v1/hosts/-/h1"
  static Result<ObjectKey> parse_store_key(std::string_view);
  v1::Reference reference() const;
};

inline constexpr std::string_view kStorePrefix = "/penstock/v1/";

const v1::Metadata& metadata_of(const Message& object);
v1::Metadata& mutable_metadata_of(Message& object);
ObjectKey key_of(const Message& object);

// v1.Object around a message of any kind, and back (nullptr: the oneof is empty).
v1::Object wrap(const Message& object);
const Message* unwrap(const v1::Object& object);

// Deterministic: equal messages give equal bytes. What the store holds.
std::string serialize(const Message&);

// The candidate nearest to `word` when it is near enough to be a slip of the pen; else empty.
std::string nearest(std::string_view word, std::span<const std::string> candidates);
// `did you mean "x"?`, or empty.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace penstock
