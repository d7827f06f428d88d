#include "cli/http/client.h"

#include <optional>
#include <vector>

#include <fmt/format.h>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace penstock::cli {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = boost::asio::ip::tcp;
// TCP or a Unix socket, decided when it connects.
using Endpoint = boost::asio::generic::stream_protocol::endpoint;
using Stream = beast::basic_stream<boost::asio::generic::stream_protocol>;
using Clock = std::chrono::steady_clock;

// Answers are bounded by what one page or one batch may be; a list of 10,000 objects fits with
// room.
constexpr std::uint64_t kLargestAnswer = 256U << 20;
constexpr std::chrono::seconds kConnectTimeout{5};

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == std::string_view::npos &&
         std::stoi(std::string(text)) <= 65535;
}

}  // namespace

std::string ServerAddress::text() const {
  if (!path.empty()) return "unix:" + path;
  return host.find(':') == std::string::npos ? fmt::format("http://{}:{}", host, port)
                                             : fmt::format("http://[{}]:{}", host, port);
}

Result<ServerAddress> parse_server(std::string_view text) {
  const auto bad = [&](std::string_view why,
                       std::string hint =
                           "http://127.0.0.1:7780 or unix:/run/penstock/server.sock") {
    return fail(Code::kInvalidArgument, fmt::format("server \"{}\": {}", text, why),
                "a server is written like " + hint);
  };
  std::string_view rest = text;
  if (rest.starts_with("unix:")) {
    rest.remove_prefix(5);
    if (!rest.starts_with('/'))
      return bad("the path of a Unix socket starts with /", "unix:/run/penstock/server.sock");
    return ServerAddress{.host = "localhost", .port = "0", .path = std::string(rest)};
  }
  if (rest.starts_with("https://")) return bad("https is not supported yet");
  if (rest.starts_with("http://")) rest.remove_prefix(7);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty()) return bad("no host");
  if (rest.find_first_of("/?#@ ") != std::string_view::npos)
    return bad("more than a host and a port");
  ServerAddress server{.host = std::string(rest), .port = "7780", .path = {}};
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == std::string_view::npos) return bad("no closing bracket", "http://[::1]:7780");
    server.host = std::string(rest.substr(1, end - 1));
    rest.remove_prefix(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return bad("no colon before the port");
    if (!rest.empty()) server.port = std::string(rest.substr(1));
  } else if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
    if (rest.find(':', colon + 1) != std::string_view::npos) {
      return bad("an IPv6 address needs brackets", "http://[::1]:7780");
    }
    server.host = std::string(rest.substr(0, colon));
    server.port = std::string(rest.substr(colon + 1));
  }
  if (server.host.empty()) return bad("no host");
  if (!is_port(server.port)) return bad("no port number from 0 to 65535");
  return server;
}

// Beast's timeouts exist only for its asynchronous calls, so each call here starts one and runs the
// context until it is done: blocking for the caller, but never for longer than asked.
struct HttpClient::Connection {
  ServerAddress server;
  std::string token;
  boost::asio::io_context io{1};
  std::optional<Stream> stream;
  beast::flat_buffer buffer;
  std::function<void(std::chrono::seconds)> waiting;

  template <typename Start>
  beast::error_code run(Start start) {
    beast::error_code result;
    start([&result](beast::error_code error, auto&&...) { result = error; });
    io.restart();
    const auto began = Clock::now();
    while (!io.stopped()) {
      io.run_for(std::chrono::seconds(1));
      const auto waited = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - began);
      if (!io.stopped() && waiting) waiting(waited);
    }
    return result;
  }

  void close() {
    stream.reset();
    buffer.clear();
  }

  std::unexpected<Error> unreachable(const beast::error_code& error, std::string_view doing) {
    close();
    const std::string why = error == beast::error::timeout ? "no answer in time" : error.message();
    return fail(Code::kUnavailable, fmt::format("server {}: {}: {}", server.text(), doing, why),
                "is penstockd running there? `penstock lab list` shows the labs of this machine; "
                "--server, PENSTOCK_SERVER or `penstock login` name another server");
  }

  std::vector<Endpoint> endpoints(beast::error_code& failed) {
    if (!server.path.empty()) return {boost::asio::local::stream_protocol::endpoint(server.path)};
    std::vector<Endpoint> found;
    tcp::resolver resolver(io);
    for (const auto& entry : resolver.resolve(server.host, server.port, failed))
      found.push_back(entry.endpoint());
    return found;
  }

  Status connect() {
    beast::error_code failed;
    const auto found = endpoints(failed);
    if (failed) return unreachable(failed, "resolve");
    for (const auto& endpoint : found) {
      stream.emplace(io);
      stream->expires_after(kConnectTimeout);
      failed = run([&](auto done) { stream->async_connect(endpoint, std::move(done)); });
      if (failed) continue;
      beast::error_code ignored;  // a Unix socket has no such option
      stream->socket().set_option(tcp::no_delay(true), ignored);
      return {};
    }
    return unreachable(failed, "connect");
  }

  http::request<http::string_body> message(const HttpRequest& request) const {
    http::request<http::string_body> out;
    out.method_string(request.method);
    out.target(request.target);
    out.version(11);
    out.set(http::field::host, server.host + ":" + server.port);
    out.set(http::field::user_agent, "penstock");
    out.set(http::field::accept, "application/json");
    if (!token.empty()) out.set(http::field::authorization, "Bearer " + token);
    if (!request.body.empty()) out.set(http::field::content_type, request.content_type);
    out.body() = request.body;
    out.prepare_payload();
    out.keep_alive(true);
    return out;
  }

  // Sends the request and reads the answer's header. A kept connection that turns out to be closed
  // is replaced once, and only when nothing of an answer had come.
  template <typename Parser>
  Status begin(const HttpRequest& request, std::optional<Parser>& parser,
               Clock::time_point deadline) {
    auto out = message(request);
    for (;;) {
      const bool kept = stream.has_value();
      if (!kept) PENSTOCK_CHECK(connect());
      parser.emplace();
      parser->body_limit(kLargestAnswer);
      stream->expires_at(deadline);
      auto error = run([&](auto done) { http::async_write(*stream, out, std::move(done)); });
      // A server may answer and close before it has read everything (a body too large): the answer
      // counts.
      const auto write_error = error;
      error = run(
          [&](auto done) { http::async_read_header(*stream, buffer, *parser, std::move(done)); });
      if (!error) return {};
      if (kept && !parser->got_some() && error != beast::error::timeout) {
        close();
        continue;
      }
      return unreachable(write_error ? write_error : error, "read");
    }
  }
};

HttpClient::HttpClient(ServerAddress server, std::string token)
    : connection_(std::make_unique<Connection>()) {
  connection_->server = std::move(server);
  connection_->token = std::move(token);
}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

const ServerAddress& HttpClient::server() const {
  return connection_->server;
}
void HttpClient::set_waiting(std::function<void(std::chrono::seconds)> waiting) {
  connection_->waiting = std::move(waiting);
}

Result<HttpResponse> HttpClient::call(const HttpRequest& request,
                                      std::chrono::milliseconds timeout) {
  Connection& c = *connection_;
  std::optional<http::response_parser<http::string_body>> parser;
  PENSTOCK_CHECK(c.begin(request, parser, Clock::now() + timeout));
  if (const auto error = c.run(
          [&](auto done) { http::async_read(*c.stream, c.buffer, *parser, std::move(done)); })) {
    return c.unreachable(error, "read");
  }
  if (!parser->get().keep_alive()) c.close();
  return HttpResponse{static_cast<int>(parser->get().result_int()),
                      std::move(parser->get().body())};
}

Result<HttpResponse> HttpClient::stream(const HttpRequest& request,
                                        const std::function<bool(std::string_view)>& line,
                                        Clock::time_point deadline) {
  Connection& c = *connection_;
  std::optional<http::response_parser<http::string_body>> parser;
  PENSTOCK_CHECK(c.begin(request, parser, deadline));
  const int status = static_cast<int>(parser->get().result_int());
  std::string& body = parser->get().body();
  for (;;) {
    if (status == 200) {
      std::size_t start = 0;
      for (auto end = body.find('\n'); end != std::string::npos; end = body.find('\n', start)) {
        const auto text = std::string_view(body).substr(start, end - start);
        start = end + 1;
        if (!text.empty() && !line(text)) {
          c.close();
          return HttpResponse{status, {}};
        }
      }
      body.erase(0, start);
    }
    if (parser->is_done()) break;
    const auto error = c.run(
        [&](auto done) { http::async_read_some(*c.stream, c.buffer, *parser, std::move(done)); });
    if (error == beast::error::timeout) {
      c.close();
      return fail(Code::kDeadlineExceeded, "the deadline passed while watching");
    }
    if (error) return c.unreachable(error, "read");
  }
  HttpResponse answer{status, std::move(body)};
  if (status == 200 && !answer.body.empty()) line(answer.body);
  if (!parser->get().keep_alive()) c.close();
  if (status == 200) answer.body.clear();
  return answer;
}

}  // namespace penstock::cli
