// The API as an OpenAPI 3.1 document, made from the descriptors.
#pragma once

#include <string>

namespace penstock {

std::string openapi_document();

}  // namespace penstock
