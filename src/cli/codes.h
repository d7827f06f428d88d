// The one list of codes that a person may meet: why packets are dropped, what the switch counts,
// how requests fail, how commands end. From the lists the programs are made of; docs/codes.md is
// written from here (`penstock explain code --markdown`).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::cli {

struct CodeEntry {
  std::string group;  // "drop reason", "counter", "error", "exit code"
  std::string name;   // "policy_deny"
  std::string cause;
  std::string remedy;  // empty: nothing is to be done
  std::string more;    // "HTTP 403, gRPC 7, exit 4"
};

const std::vector<CodeEntry>& all_codes();
// All of the name: "punted" is a drop reason and a counter.
std::vector<CodeEntry> codes_named(std::string_view name);
std::string codes_markdown();

}  // namespace penstock::cli
