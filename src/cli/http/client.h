// HTTP/1.1 with one server, one connection kept open, one request at a time; blocks the caller.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::cli {

struct ServerAddress {
  std::string host;  // name or address, IPv6 without brackets
  std::string port;
  std::string path;          // of a Unix socket instead
  std::string text() const;  // "http://127.0.0.1:7780", "unix:/run/penstock/server.sock"
};

// "http://host:port", "host:port", "host" or "unix:/path"; the port is 7780 when it is missing.
// https is refused with the reason.
Result<ServerAddress> parse_server(std::string_view);

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // path and query, encoded
  std::string body;    // JSON, or empty
  std::string content_type = "application/json";
};

struct HttpResponse {
  int status = 0;
  std::string body;
};

class HttpClient {
 public:
  HttpClient(ServerAddress, std::string token);
  HttpClient(HttpClient&&) noexcept;
  ~HttpClient();

  // Any HTTP answer is a success here, also 404. kUnavailable: no connection, or it broke, or
  // nothing came within `timeout`; whether a write was done is then unknown. A connection that the
  // server had closed while idle is opened again without a word.
  Result<HttpResponse> call(const HttpRequest&, std::chrono::milliseconds timeout);

  // Gives each line of the answer's body to `line` until the server ends it or `line` returns false
  // (both are a success), or until `deadline` (kDeadlineExceeded). An answer other than 200 is
  // returned whole; else body is empty.
  Result<HttpResponse> stream(const HttpRequest&, const std::function<bool(std::string_view)>& line,
                              std::chrono::steady_clock::time_point deadline);

  const ServerAddress& server() const;

  // Called after each further second of waiting for an answer.
  void set_waiting(std::function<void(std::chrono::seconds)> waiting);

 private:
  struct Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace penstock::cli
