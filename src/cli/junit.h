// JUnit's XML, as most build servers read it.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::cli {

struct JunitCase {
  std::string group, name;
  bool skipped = false;
  std::string failure;  // one line; empty: passed
  std::string output;   // of a failure
  double seconds = 0;
};

std::string junit_xml(const std::string& suite, const std::vector<JunitCase>&);
// To a file, as a whole.
Status write_junit(const std::string& path, const std::string& suite,
                   const std::vector<JunitCase>&);
// The content to a file of its own; what was there goes.
Status write_file(const std::string& path, const std::string& content);

}  // namespace penstock::cli
