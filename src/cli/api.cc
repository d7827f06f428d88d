#include "cli/api.h"

#include <random>

#include <fmt/format.h>

namespace penstock::cli {
namespace {

// The server answers a wait itself when its deadline passes; the client only guards against
// silence.
constexpr std::chrono::milliseconds kWaitSlack{10'000};
constexpr std::chrono::milliseconds kServerWaitAtMost{600'000};

// Lets the server recognize a repeated write (RFC 9110 section 9.2.2: POST may not be repeated
// blindly).
std::string fresh_request_id() {
  std::random_device random;
  return fmt::format("cli-{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

Query query_of(const WriteOptions& options) {
  Query query{{"requestId", fresh_request_id()}};
  if (options.dry_run) query.emplace_back("dryRun", "server");
  if (options.wait_applied) query.emplace_back("wait", "applied");
  if (options.deadline.count() > 0)
    query.emplace_back("deadline", fmt::format("{}s", options.deadline.count() / 1000.0));
  return query;
}

std::chrono::milliseconds patience(const WriteOptions& options, std::chrono::milliseconds timeout) {
  if (!options.wait_applied) return timeout;
  return (options.deadline.count() > 0 ? options.deadline : kServerWaitAtMost) + kWaitSlack;
}

Code code_of_http(int status) {
  switch (status) {
    case 400:
      return Code::kInvalidArgument;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kConflict;
    case 412:
      return Code::kFailedPrecondition;
    case 413:
    case 429:
      return Code::kResourceExhausted;
    case 502:
    case 503:
      return Code::kUnavailable;
    case 504:
      return Code::kDeadlineExceeded;
    case 501:
      return Code::kUnimplemented;
    default:
      return Code::kInternal;
  }
}

}  // namespace

std::string encode(std::string_view text) {
  // RFC 3986 section 2.3: what may stand unencoded anywhere.
  static constexpr std::string_view kPlain = "-._~";
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string path_of(const Location& location) {
  std::string path = "/v1";
  if (!location.tenant.empty()) path += "/tenants/" + encode(location.tenant);
  path += "/" + location.plural;
  if (!location.name.empty()) path += "/" + encode(location.name);
  return path;
}

std::string with_query(std::string_view path, const Query& query) {
  std::string out(path);
  char separator = '?';
  for (const auto& [name, value] : query) {
    out += separator + name + "=" + encode(value);
    separator = '&';
  }
  return out;
}

Error failure_of(const Json& failure) {
  Error error{.code = parse_code(text_at(at(failure, "code"))).value_or(Code::kInternal),
              .message = text_at(at(failure, "message")),
              .details = {},
              .hint = text_at(at(failure, "hint"))};
  for (const auto& detail : at(failure, "details")) {
    error.details.push_back({text_at(at(detail, "field")), text_at(at(detail, "message")),
                             text_at(at(detail, "hint"))});
  }
  return error;
}

Error failure_of(int http_status, std::string_view body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (at(json, "code").is_string()) return failure_of(json);
  return Error{
      .code = code_of_http(http_status),
      .message = fmt::format("the server answered HTTP {} without an explanation", http_status),
      .details = {},
      .hint = http_status == 404 ? "is this a Penstock server?" : ""};
}

Result<Json> Api::call(const HttpRequest& request, std::chrono::milliseconds timeout) {
  const HttpResponse answer = PENSTOCK_TRY(http_.call(request, timeout));
  if (answer.status / 100 != 2) {
    Error error = failure_of(answer.status, answer.body);
    // Without a token `login` would only ask for one.
    if (error.code == Code::kUnauthenticated &&
        (error.hint.empty() || error.hint.ends_with("penstock login")))
      error.hint = "penstock login --token TOKEN";
    return std::unexpected(std::move(error));
  }
  if (answer.body.empty()) return Json::object();
  Json json = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return fail(Code::kInternal,
                fmt::format("server {}: the answer is not a JSON object", server().text()),
                "is this a Penstock server?");
  }
  return json;
}

Result<Json> Api::read(std::string_view path, const Query& query) {
  return call({"GET", with_query(path, query), ""}, timeout_);
}

Result<Json> Api::get(const Location& location) {
  return read(path_of(location), {});
}

Result<Json> Api::list(const Location& location, std::string_view selector,
                       std::int64_t* revision) {
  Json items = Json::array();
  std::string next;
  do {
    Query query;
    if (!selector.empty()) query.emplace_back("labelSelector", selector);
    if (!next.empty()) query.emplace_back("continue", next);
    Json page = PENSTOCK_TRY(read(path_of(location), query));
    for (auto& item : page["items"]) items.push_back(std::move(item));
    next = text_at(at(page, "continue"));
    if (revision) *revision = number_at(at(page, "revision"));
  } while (!next.empty());
  return items;
}

Result<Json> Api::catalog(std::string_view tenant, const Query& narrow) {
  Json entries = Json::array();
  std::string next;
  do {
    auto query = narrow;
    if (!next.empty()) query.emplace_back("continue", next);
    Json page = PENSTOCK_TRY(read("/v1/tenants/" + encode(tenant) + "/catalog", query));
    for (auto& entry : page["entries"]) entries.push_back(std::move(entry));
    next = text_at(at(page, "continue"));
  } while (!next.empty());
  return entries;
}

Status Api::watch(const Location& location, std::string_view selector, std::int64_t revision,
                  const std::function<bool(const Json&)>& event,
                  std::chrono::steady_clock::time_point deadline) {
  Query query{{"watch", "true"}};
  if (revision > 0) query.emplace_back("resourceVersion", fmt::format("{}", revision));
  if (!selector.empty()) query.emplace_back("labelSelector", selector);
  const HttpResponse answer = PENSTOCK_TRY(http_.stream(
      {"GET", with_query(path_of(location), query), ""},
      [&](std::string_view line) {
        const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
        return json.is_discarded() || event(json);
      },
      deadline));
  if (answer.status != 200) return std::unexpected(failure_of(answer.status, answer.body));
  return {};
}

Result<Json> Api::patch(const Location& location, const Json& merge_patch,
                        const WriteOptions& options) {
  return call({"PATCH", with_query(path_of(location), query_of(options)),
               merge_patch.dump(-1, ' ', false, Json::error_handler_t::replace),
               "application/merge-patch+json"},
              patience(options, timeout_));
}

Result<Json> Api::remove(const Location& location, bool cascade, const WriteOptions& options) {
  Query query = query_of(options);
  if (cascade) query.emplace_back("cascade", "true");
  return call({"DELETE", with_query(path_of(location), query), ""}, patience(options, timeout_));
}

Result<Json> Api::batch(Json items, bool atomic, const WriteOptions& options) {
  Json body;
  body["items"] = std::move(items);
  body["atomic"] = atomic;
  return post("/v1:batch", body, options);
}

Result<Json> Api::post(std::string_view path, const Json& body, const WriteOptions& options) {
  // Text from files may hold bytes that are no UTF-8; the server is to judge the object, not the
  // encoder.
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return call({"POST", with_query(path, query_of(options)), text}, patience(options, timeout_));
}

}  // namespace penstock::cli
