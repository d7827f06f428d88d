// "alice: TENANT_ADMINISTRATOR of acme; groups netops" from the answer of /v1:whoami.
#pragma once

#include <string>

#include "cli/api.h"
#include "cli/json.h"

namespace penstock::cli {

std::string whoami_text(const Json& answer);

// The tenant of a user who has roles in one only; else empty.
Result<std::string> only_tenant(Api&);

}  // namespace penstock::cli
