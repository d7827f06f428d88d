// HTTP/1.1 over TCP on the strand's own loop: bytes in, bytes out, nothing of Penstock's API.
// Keep-alive, limits on header, body, idle time and connections; a request that is not HTTP gets
// 400 and never reaches the handler.
//
// Connections: nobody can lock out others by holding many. Those that are nobody's yet are few, and
// a new one closes the oldest of them; a user has at most so many.
//
// Threading: everything runs on the RealRuntime's strand; the handler may answer at once or later,
// from the strand.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/real_runtime.h"

namespace penstock {

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // "/v1/vms?limit=3", as sent
  std::string authorization;
  std::string content_type;
  std::string body;
  std::string client;  // address it came from; "unix": of this machine
};

// The answer to one request. Exactly one of: reply(); or start_stream(), any number of write(),
// end_stream(). Dropping the last reference without an answer closes the connection.
class HttpResponder {
 public:
  virtual ~HttpResponder() = default;
  // The connection is this user's from now on. False: the user has as many as are allowed; answer
  // that, and the connection is closed.
  virtual bool belongs_to(const std::string& user) = 0;
  virtual void reply(int status, std::string_view content_type, std::string body) = 0;

  // Chunked transfer. write() queues; false: the client is gone, or more than `queue_max` pieces
  // wait for it. `gone` runs once when the client leaves before end_stream().
  virtual void start_stream(std::string_view content_type, std::size_t queue_max, Task gone) = 0;
  virtual bool write(std::string piece) = 0;
  virtual void end_stream() = 0;
};

class HttpServer {
 public:
  using Handler = std::function<void(HttpRequest, std::shared_ptr<HttpResponder>)>;
  // Body of the answer to something that is not HTTP or exceeds a limit.
  using ErrorBody = std::function<std::string(const Error&)>;

  HttpServer(RealRuntime&, Log&, Handler, ErrorBody);
  ~HttpServer();  // closes everything

  // `address` without port. Port 0: any free one. kUnavailable: cannot be bound, with the reason.
  Status listen(const std::string& address, std::uint16_t port);
  // On a Unix socket at this path: who may connect is a matter of the folder's permissions.
  Status listen_unix(const std::string& path);
  std::uint16_t port() const;  // 0 for a Unix socket

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace penstock
