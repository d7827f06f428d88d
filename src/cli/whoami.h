// "alice: TENANT_ADMINISTRATOR of acme; groups netops" from the answer of /v1:whoami.
#pragma once

#include <string>

#include "cli/json.h"

namespace penstock::cli {

std::string whoami_text(const Json& answer);

}  // namespace penstock::cli
