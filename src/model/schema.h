// The parameters of a definition: a subset of JSON Schema (draft 2020-12), and the placeholders
// that use them.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include <google/protobuf/struct.pb.h>

#include "model/json.h"
#include "model/problems.h"

namespace penstock {

// Keywords: type, enum, const, default, title, description, examples, $schema, $id, $comment,
// minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, minLength, maxLength, pattern,
// format (ip, cidr, port-range, ...; see schema.cc), items, minItems, maxItems, uniqueItems,
// properties, required, additionalProperties (true or false). Any other keyword is refused by name,
// because a rule that is not enforced must not look as if it were. At most 64 kB. The root is an
// object; parameters that it does not name are refused.
class Schema {
 public:
  Schema();  // no parameters
  static Schema parse(const google::protobuf::Struct&, Problems&, const std::string& path);

  const std::set<std::string>& names() const { return names_; }
  // Names with a default.
  Json defaults() const;
  // Checks given values; `complete`: required ones must be there.
  void check(const Json& values, Problems&, const std::string& path, bool complete) const;

 private:
  Json root_ = Json::object();
  std::set<std::string> names_;
};

inline constexpr std::size_t kSchemaMaxBytes = 64 * 1024;

// Puts values in for "${name}" everywhere in the message. A string that is nothing but a
// placeholder takes a list: in a list of strings its elements, in a list of messages one message an
// element. Problems: unknown parameters, no value, a list inside a text, a list that is empty (an
// empty list would mean "any"). `origins` learns which parameter the string at a path of the result
// came from. Paths are those of the result, in which lists may have grown.
using Origins = std::map<std::string, std::string>;
void substitute(Message&, const Json& values, Problems&, const std::string& path,
                Origins* origins = nullptr);
// Every "${name}" must be declared; malformed ones are named.
void check_placeholders(const Message&, const std::set<std::string>& declared, Problems&,
                        const std::string& path);
bool has_placeholder(std::string_view text);

}  // namespace penstock
