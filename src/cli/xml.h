#pragma once

#include <string>
#include <string_view>

namespace penstock::cli {

// For text and attribute values; control characters that XML 1.0 cannot hold become '?'.
std::string xml_escaped(std::string_view);

}  // namespace penstock::cli
