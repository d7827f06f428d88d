// proto3 JSON <-> protobuf, with every error of a document at once: field paths
// ("spec.rules[3].ports[0]"), unknown fields refused with "did you mean", types and enum values
// named. protobuf's own parser stops at the first.
//
// Input: camelCase and snake_case names; enums by name in any case (or number); null is absence;
// int64 as number or string; Timestamp and Duration as RFC 3339 text and "1.5s"; Struct and Value
// as they are. Fields marked output_only are read over, so that what `get -o json` printed can be
// applied again. Output: camelCase, field order of the .proto, default values left out.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/kinds.h"
#include "model/problems.h"

namespace penstock {

using Json = nlohmann::ordered_json;

inline constexpr int kJsonMaxDepth = 48;

// Text to tree: duplicate keys, invalid UTF-8, depth over kJsonMaxDepth and syntax errors (with
// line and column) are refused. The caller bounds the size.
Result<Json> parse_json(std::string_view text);

struct DecodeOptions {
  bool keep_output_only = false;  // for answers read by a client
  bool check_required = true;     // fields marked `required` that are absent or empty
};
// Fills `message` from the tree; what is wrong goes to `problems` with `path` in front.
void decode(const Json&, Message& message, Problems& problems, std::string_view path = {},
            const DecodeOptions& = {});
// The same as a whole: kInvalidArgument with all details.
Status decode(const Json&, Message& message, const DecodeOptions& = {});

// {"kind": "VirtualMachine", "metadata": ..., "spec": ...} <-> one object of that kind.
// "apiVersion" is read over. With `expected`, "kind" may be absent and must be that kind otherwise.
Result<std::unique_ptr<Message>> decode_object(const Json&, const Kind* expected = nullptr,
                                               const DecodeOptions& = {});

struct EncodeOptions {
  bool with_secrets = false;  // fields marked `secret`: only the answer to a creation
};
// Messages that are kinds, and v1.Object wherever it occurs, come with "kind" in front.
Json encode(const Message&, const EncodeOptions& = {});
std::string encode_text(const Message&, const EncodeOptions& = {}, int indent = -1);

Json to_json(const google::protobuf::Struct&);
Json to_json(const google::protobuf::Value&);
void from_json(const Json&, google::protobuf::Value&);

}  // namespace penstock
