// JSON as YAML: what parse_yaml reads back as the same value.
#pragma once

#include <string>

#include "cli/json.h"

namespace penstock::cli {

std::string yaml_text(const Json&);

}  // namespace penstock::cli
