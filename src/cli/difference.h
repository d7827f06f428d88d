// How two states of an object differ, field by field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/json.h"

namespace penstock::cli {

struct FieldChange {
  std::string path;          // "spec.levels[0].limits.connections"
  Json before, after;        // null: absent
  std::string text() const;  // "~ spec.mtu: 1450 -> 1400", "+ spec.owner: user:ann", "- ..."
};

// Lists of named things (levels, rules, nics) are compared by name, others by place. A null
// `before` or `after` is an object that is not there.
std::vector<FieldChange> difference(const Json& before, const Json& after,
                                    std::string_view path = {});

// Without what the server writes: status and the metadata it keeps.
Json wanted_part(const Json& object);

}  // namespace penstock::cli
