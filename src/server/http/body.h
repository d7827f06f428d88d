// The body of a request as JSON: JSON, or YAML as `Content-Type: application/yaml` says (RFC 9512),
// so that a file can be uploaded as it is.
#pragma once

#include <string>
#include <vector>

#include "base/http/http_server.h"
#include "model/json.h"

namespace penstock {

inline constexpr std::string_view kYamlType = "application/yaml";

// In lower case, without parameters: "application/json".
std::string media_type(const HttpRequest&);
// What is wrong with the text comes with line and column. No body: an empty object. Of YAML exactly
// one document.
Result<Json> body_tree(const HttpRequest&);
// A batch: {"items": [...]}, or in YAML one document an object, each to be put; all or nothing when
// they are no more than `atomic_max`.
Result<Json> batch_tree(const HttpRequest&, std::int64_t atomic_max);

}  // namespace penstock
