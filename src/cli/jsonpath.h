// The part of kubectl's JSONPath templates that scripts use: text and {paths} mixed, .name,
// ['name'], [0], [-1], [*],
// [?(@.type=="Ready")], {"\n"}, {range PATH}...{end}. A path alone needs no braces.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/json.h"

namespace penstock::cli {

struct PathStep {
  enum class What { kMember, kIndex, kAll, kFilter };
  What what = What::kMember;
  std::string name{};            // of kMember
  long index = 0;                // of kIndex; negative: from the end
  std::vector<PathStep> left{};  // of kFilter: the path after @
  std::string value{};           // of kFilter: what it must be equal to, as text
  bool negated = false;          // != instead of ==
};
using JsonPath = std::vector<PathStep>;

// ".spec.nics[0].name", "spec.nics". kInvalidArgument says where.
Result<JsonPath> parse_path(std::string_view);
// All values it leads to; a missing member leads to none.
std::vector<const Json*> follow(const JsonPath&, const Json& root);

class JsonPathTemplate {
 public:
  static Result<JsonPathTemplate> parse(std::string_view);
  std::string render(const Json& root) const;

 private:
  struct Part {
    std::string text{};
    JsonPath path{};
    bool is_path = false, is_range = false;
    std::vector<Part> body{};  // of a range
  };
  static void render(const std::vector<Part>&, const Json&, std::string& out);
  static Result<std::vector<Part>> parse_parts(std::string_view text, std::size_t& at,
                                               bool in_range);
  std::vector<Part> parts_;
};

// A value as text: strings without quotes, objects and arrays as JSON.
std::string plain_text(const Json&);

}  // namespace penstock::cli
