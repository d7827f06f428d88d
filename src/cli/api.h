// The server's interface as the command line uses it: URLs in, JSON out, failures as Error.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/http/client.h"
#include "cli/json.h"

namespace penstock::cli {

// An object's place: plural, tenant (empty for kinds without) and name (empty for all of the kind).
struct Location {
  std::string plural, tenant, name;
};

using Query = std::vector<std::pair<std::string, std::string>>;

struct WriteOptions {
  bool dry_run = false;
  bool wait_applied = false;
  std::chrono::milliseconds deadline{0};  // 0: the server's
};

class Api {
 public:
  Api(ServerAddress server, std::string token) : http_(std::move(server), std::move(token)) {}

  Result<Json> get(const Location&);
  // All pages, as one array of objects; `revision` gets that of the pages when it is not null.
  Result<Json> list(const Location&, std::string_view selector, std::int64_t* revision = nullptr);
  // All pages of the tenant's catalog, as one array of entries.
  Result<Json> catalog(std::string_view tenant, const Query& narrow);
  // Events after `revision` (0: first all there is) until `event` returns false, the server ends
  // the stream or the deadline passes.
  Status watch(const Location&, std::string_view selector, std::int64_t revision,
               const std::function<bool(const Json&)>& event,
               std::chrono::steady_clock::time_point deadline);
  // `merge_patch`: RFC 7396. The answer is a PutResponse.
  Result<Json> patch(const Location&, const Json& merge_patch, const WriteOptions&);
  Result<Json> remove(const Location&, bool cascade, const WriteOptions&);
  // `items`: as in BatchRequest.
  Result<Json> batch(Json items, bool atomic, const WriteOptions&);

  // The rest, by path: "/v1:status". The answer's JSON; an HTTP error as an Error.
  Result<Json> read(std::string_view path, const Query&);
  Result<Json> post(std::string_view path, const Json& body, const WriteOptions&);

  // Reads then wait this long, not longer: completion must not hang a prompt.
  void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }
  // Called each second while an answer is waited for.
  void set_waiting(std::function<void(std::chrono::seconds)> waiting) {
    http_.set_waiting(std::move(waiting));
  }
  const ServerAddress& server() const { return http_.server(); }

 private:
  Result<Json> call(const HttpRequest&, std::chrono::milliseconds timeout);

  HttpClient http_;
  std::chrono::milliseconds timeout_{30'000};
};

// "/v1/tenants/acme/vms/web-1", each part percent-encoded.
std::string path_of(const Location&);
std::string encode(std::string_view);
std::string with_query(std::string_view path, const Query&);

// A Failure body with the HTTP status it came with; also when the body is none of ours.
Error failure_of(int http_status, std::string_view body);
Error failure_of(const Json& failure);

}  // namespace penstock::cli
