// Files of `penstock reach`: a list of what should reach what.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/json.h"

namespace penstock::cli {

struct Expectation {
  std::string file;
  int line = 0;
  std::string from;           // "acme/web-1", "acme/web-1/eth0"
  std::string to;             // "10.0.2.7:22/tcp", "acme/db-1:5432"
  std::string expect;         // "allow", "deny", "reject"
  std::string profile, rule;  // empty: whoever decides
  Json request;               // of the trace, without the tenant

  std::string tenant, vm;
  std::string text() const;  // "acme/web-1 -> acme/db-1:5432 allow"
};

struct ReachFile {
  std::vector<Expectation> all;
  std::vector<std::string> problems;  // "reach.yaml:3:5  ..."; then nothing is to be run
};
ReachFile read_reach(const std::string& file, std::string_view text,
                     const std::string& default_tenant);

// What is not as expected of this answer; empty: it is.
std::string unmet(const Expectation&, const Json& trace);

// JSON Schema of the files.
Json reach_schema();

}  // namespace penstock::cli
