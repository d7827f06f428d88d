#include "base/http/http_server.h"

#include <deque>
#include <list>
#include <map>
#include <unordered_set>

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace penstock {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {
// TCP or Unix sockets, decided when it listens.
using Protocol = asio::generic::stream_protocol;
using Socket = Protocol::socket;

constexpr std::size_t kHeaderLimit = 16
                                     << 10;  // bytes; Beast's parser answers header_limit above it
constexpr Duration kGrace = std::chrono::milliseconds(100);
}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
  class Connection;

  Impl(RealRuntime& r, Log& l, Handler h, ErrorBody e)
      : runtime(r), log(l), handler(std::move(h)), error_body(std::move(e)), acceptor(r.io()) {}

  RealRuntime& runtime;
  Log& log;
  Handler handler;
  ErrorBody error_body;
  asio::basic_socket_acceptor<Protocol> acceptor;
  std::string socket_file;  // of a Unix socket: removed at the end

  Status listen(const Protocol::endpoint&, const std::string& text);
  std::unordered_set<Connection*> connections;
  std::list<Connection*> unknown;  // of these, those that are nobody's; oldest first
  std::map<std::string, std::int64_t> of_user;
  bool stopped = false;

  void accept();
  void make_room(std::size_t limit);
  void stop();
};

// One TCP connection; kept alive by the operation that is under way on it.
class HttpServer::Impl::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Impl> server, Socket socket)
      : server_(std::move(server)),
        stream_(std::move(socket)),
        client_(address_of(stream_.socket())) {
    server_->connections.insert(this);
    server_->unknown.push_back(this);
    place_ = std::prev(server_->unknown.end());
  }
  ~Connection() {
    leave();
    server_->connections.erase(this);
  }

  bool belongs_to(const std::string& user) {
    if (place_ == server_->unknown.end() && user_ == user) return true;
    auto& many = server_->of_user[user];
    if (many >= tunables().http_connections_per_user) return false;
    ++many;
    leave();
    user_ = user;
    return true;
  }

  void read() {
    parser_.emplace();
    parser_->header_limit(kHeaderLimit);
    parser_->body_limit(static_cast<std::uint64_t>(tunables().api_request_max_bytes));
    stream_.expires_after(std::chrono::milliseconds(tunables().http_idle_ms));
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](error_code error, std::size_t) {
                              if (error) return self->reading_failed(error);
                              self->read_body();
                            });
  }

  // Closed, and off the books before its last operation has noticed.
  void give_up_place() {
    leave();
    server_->connections.erase(this);
  }

  MonoTime since() const { return since_; }

  void close() {
    error_code ignored;
    stream_.socket().shutdown(Socket::shutdown_both, ignored);
    stream_.close();
  }

  // Sends `text` as it is; then reads the next request or closes.
  void send(std::string text, bool keep_open) {
    out_ = std::move(text);
    stream_.expires_after(std::chrono::milliseconds(tunables().http_idle_ms));
    asio::async_write(stream_, asio::buffer(out_),
                      [self = shared_from_this(), keep_open](error_code error, std::size_t) {
                        if (error || !keep_open || self->server_->stopped) return self->close();
                        self->read();
                      });
  }

  class Responder;
  friend class Responder;

 private:
  const Tunables& tunables() const { return server_->runtime.tunables(); }

  static std::string address_of(const Socket& socket) {
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    if (error) return {};
    if (remote.protocol().family() == AF_UNIX) return "unix";
    asio::ip::tcp::endpoint tcp;
    tcp.resize(remote.size());
    std::memcpy(tcp.data(), remote.data(), remote.size());
    return tcp.address().to_string();
  }
  // Out of the account it is on.
  void leave() {
    if (place_ != server_->unknown.end()) {
      server_->unknown.erase(place_);
      place_ = server_->unknown.end();
    } else if (const auto found = server_->of_user.find(user_);
               found != server_->of_user.end() && --found->second == 0) {
      server_->of_user.erase(found);
    }
  }

  void read_body() {
    if (!beast::iequals(parser_->get()[http::field::expect], "100-continue")) return read_rest();
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(out_),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        if (error) return self->close();
                        self->read_rest();
                      });
  }
  void read_rest() {
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, std::size_t) {
                       if (error) return self->reading_failed(error);
                       self->handle();
                     });
  }
  void reading_failed(error_code error);
  void handle();

  std::shared_ptr<Impl> server_;
  beast::basic_stream<Protocol> stream_;
  const std::string client_;
  const MonoTime since_ = server_->runtime.now();
  std::string user_;                        // of whom it is
  std::list<Connection*>::iterator place_;  // among those that are nobody's; end(): somebody's
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::string out_;
};

namespace {

std::string head(int status, std::string_view content_type, bool keep_open) {
  return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nCache-Control: no-store\r\n{}", status,
                     std::string(http::obsolete_reason(static_cast<http::status>(status))),
                     content_type, keep_open ? "" : "Connection: close\r\n");
}
std::string whole(int status, std::string_view content_type, std::string_view body, bool keep_open,
                  bool without_body) {
  auto text = head(status, content_type, keep_open);
  text += fmt::format("Content-Length: {}\r\n\r\n", body.size());
  if (!without_body) text += body;
  return text;
}

}  // namespace

class HttpServer::Impl::Connection::Responder final
    : public HttpResponder,
      public std::enable_shared_from_this<Responder> {
 public:
  Responder(std::shared_ptr<Connection> connection, bool keep_open, bool head_only)
      : connection_(std::move(connection)), keep_open_(keep_open), head_only_(head_only) {}
  ~Responder() override {
    if (state_ == State::kOpen) connection_->close();
  }

  bool belongs_to(const std::string& user) override {
    if (connection_->belongs_to(user)) return true;
    keep_open_ = false;
    return false;
  }

  void reply(int status, std::string_view content_type, std::string body) override {
    if (state_ != State::kOpen) return;
    state_ = State::kDone;
    connection_->send(whole(status, content_type, body, keep_open_, head_only_), keep_open_);
  }

  void start_stream(std::string_view content_type, std::size_t queue_max, Task gone) override {
    if (state_ != State::kOpen) return;
    state_ = State::kStreaming;
    gone_ = std::move(gone);
    queue_max_ = queue_max;
    connection_->stream_.expires_never();
    queue_.push_back(head(200, content_type, false) + "Transfer-Encoding: chunked\r\n\r\n");
    flush();
    // A client that leaves is noticed by reading: it has nothing more to say on this connection.
    connection_->stream_.async_read_some(
        asio::buffer(&peek_, 1),
        [self = shared_from_this()](error_code, std::size_t) { self->client_left(); });
  }

  bool write(std::string piece) override {
    if (state_ != State::kStreaming || queue_.size() >= queue_max_) return false;
    queue_.push_back(fmt::format("{:x}\r\n{}\r\n", piece.size(), piece));
    flush();
    return true;
  }

  void end_stream() override {
    if (state_ != State::kStreaming) return;
    state_ = State::kDone;
    gone_ = nullptr;
    queue_.push_back("0\r\n\r\n");
    flush();
  }

 private:
  enum class State { kOpen, kStreaming, kDone };

  void flush() {
    if (writing_) return;
    if (queue_.empty()) {
      if (state_ == State::kDone) connection_->close();
      return;
    }
    writing_ = true;
    connection_->out_.clear();
    for (; !queue_.empty(); queue_.pop_front()) connection_->out_ += queue_.front();
    asio::async_write(connection_->stream_, asio::buffer(connection_->out_),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        self->writing_ = false;
                        if (error) return self->client_left();
                        self->flush();
                      });
  }
  void client_left() {
    if (state_ == State::kStreaming) {
      state_ = State::kDone;
      if (auto gone = std::exchange(gone_, nullptr)) gone();
    }
    if (queue_.empty() && !writing_) connection_->close();
  }

  std::shared_ptr<Connection> connection_;
  bool keep_open_, head_only_;
  State state_ = State::kOpen;
  std::deque<std::string> queue_;
  std::size_t queue_max_ = 0;
  bool writing_ = false;
  char peek_ = 0;
  Task gone_;
};

void HttpServer::Impl::Connection::reading_failed(error_code error) {
  if (error == http::error::end_of_stream || error == asio::error::eof ||
      error == asio::error::connection_reset || error == beast::error::timeout ||
      error == asio::error::operation_aborted || error == http::error::partial_message)
    return close();
  const bool too_big = error == http::error::body_limit || error == http::error::header_limit;
  Error failure{
      Code::kInvalidArgument,
      too_big ? "the request is too large" : "this is not an HTTP request: " + error.message(),
      {},
      too_big ? fmt::format("a body may have {} bytes (tunable api_request_max_bytes)",
                            tunables().api_request_max_bytes)
              : std::string()};
  send(whole(too_big ? 413 : 400, "application/json", server_->error_body(failure), false, false),
       false);
}

void HttpServer::Impl::Connection::handle() {
  auto message = parser_->release();
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  request.authorization = std::string(message[http::field::authorization]);
  request.content_type = std::string(message[http::field::content_type]);
  request.body = std::move(message.body());
  request.client = client_;
  stream_.expires_never();  // the handler's own deadline rules from here
  server_->handler(std::move(request),
                   std::make_shared<Responder>(shared_from_this(), message.keep_alive(),
                                               message.method() == http::verb::head));
}

void HttpServer::Impl::accept() {
  acceptor.async_accept([self = shared_from_this()](error_code error, Socket socket) {
    if (self->stopped) return;
    if (!error) {
      const auto limit = static_cast<std::size_t>(self->runtime.tunables().http_connections_max);
      error_code ignored;  // a Unix socket has no such option
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      self->make_room(limit);
      if (self->connections.size() >= limit)
        self->log.warning(
            "an HTTP connection was closed: {} are open already "
            "(tunable http_connections_max)",
            limit);
      else
        std::make_shared<Connection>(self, std::move(socket))->read();
      return self->accept();
    }
    // Out of descriptors, most likely: a pause instead of a spin.
    self->log.warning("accepting an HTTP connection failed: {}", error.message());
    self->runtime.after(std::chrono::milliseconds(100), [self] {
      if (!self->stopped) self->accept();
    });
  });
}

// A flood of connections that say nothing must end with them, not with those who come to work.
void HttpServer::Impl::make_room(std::size_t limit) {
  const auto most = static_cast<std::size_t>(runtime.tunables().http_connections_unknown);
  if (unknown.empty() || (unknown.size() < most && connections.size() < limit)) return;
  auto* oldest = unknown.front();
  // Of many that come at once each gets the time to say who it is.
  if (connections.size() < limit && runtime.now() - oldest->since() < kGrace) return;
  oldest->close();
  oldest->give_up_place();
}

void HttpServer::Impl::stop() {
  stopped = true;
  error_code ignored;
  acceptor.close(ignored);
  if (!socket_file.empty()) unlink(socket_file.c_str());
  const std::vector<Connection*> open(connections.begin(), connections.end());
  for (auto* connection : open) connection->close();
}

HttpServer::HttpServer(RealRuntime& runtime, Log& log, Handler handler, ErrorBody error_body)
    : impl_(std::make_shared<Impl>(runtime, log, std::move(handler), std::move(error_body))) {}
HttpServer::~HttpServer() {
  impl_->stop();
}

Status HttpServer::listen(const std::string& address, std::uint16_t port) {
  error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return fail(Code::kInvalidArgument, fmt::format("\"{}\" is not an address", address));
  return impl_->listen(asio::ip::tcp::endpoint(ip, port), fmt::format("{}:{}", address, port));
}

Status HttpServer::listen_unix(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Code::kInvalidArgument,
                fmt::format("the path of a Unix socket is too long: {}", path));
  // Left by a server that was killed. One that still runs holds the store's lock, so we would not
  // be here.
  struct stat file {};
  if (lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode)) unlink(path.c_str());
  PENSTOCK_CHECK(impl_->listen(asio::local::stream_protocol::endpoint(path), path));
  impl_->socket_file = path;
  return {};
}

Status HttpServer::Impl::listen(const Protocol::endpoint& endpoint, const std::string& text) {
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    return fail(Code::kUnavailable,
                fmt::format("listen for HTTP on {}: {}", text, error.message()));
  accept();
  return {};
}

std::uint16_t HttpServer::port() const {
  error_code ignored;
  const auto local = impl_->acceptor.local_endpoint(ignored);
  if (local.protocol().family() == AF_UNIX) return 0;
  asio::ip::tcp::endpoint tcp;
  tcp.resize(local.size());
  std::memcpy(tcp.data(), local.data(), local.size());
  return tcp.port();
}

}  // namespace penstock
