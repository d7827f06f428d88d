#include "server/http/body.h"

#include <algorithm>

#include <fmt/format.h>

#include "model/yaml_tree.h"

namespace penstock {
namespace {

Result<std::vector<Json>> yaml_documents(const std::string& text) {
  const auto parsed = parse_yaml(text);
  if (!parsed.problems.empty()) {
    Error error{Code::kInvalidArgument, "the body is not YAML", {}, ""};
    for (const auto& problem : parsed.problems)
      error.details.push_back(
          {fmt::format("line {}, column {}", problem.mark.line, problem.mark.column),
           problem.message, problem.hint});
    return std::unexpected(std::move(error));
  }
  std::vector<Json> documents;
  for (const auto& root : parsed.roots) documents.push_back(to_json(*root));
  return documents;
}

}  // namespace

std::string media_type(const HttpRequest& request) {
  auto type = request.content_type.substr(0, request.content_type.find_first_of("; "));
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
  return type;
}

Result<Json> body_tree(const HttpRequest& request) {
  if (request.body.empty()) return Json::object();
  if (media_type(request) != kYamlType) return parse_json(request.body);
  auto documents = PENSTOCK_TRY(yaml_documents(request.body));
  if (documents.size() == 1) return std::move(documents[0]);
  return fail(Code::kInvalidArgument,
              fmt::format("the body has {} documents; one is wanted here", documents.size()),
              "send many to POST /v1:batch");
}

Result<Json> batch_tree(const HttpRequest& request, std::int64_t atomic_max) {
  if (media_type(request) != kYamlType) return body_tree(request);
  Json items = Json::array();
  for (auto& document : PENSTOCK_TRY(yaml_documents(request.body)))
    items.push_back({{"put", std::move(document)}});
  const bool atomic = static_cast<std::int64_t>(items.size()) <= atomic_max;
  return Json{{"items", std::move(items)}, {"atomic", atomic}};
}

}  // namespace penstock
