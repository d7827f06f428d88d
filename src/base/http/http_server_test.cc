// The HTTP server on a real socket of the loopback: what is right is answered, what is garbage does
// no harm.
#include "base/http/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/sim_runtime.h"

namespace penstock {
namespace {

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    tunables.api_request_max_bytes = 10'000;
    tunables.http_idle_ms = 2'000;
    tunables.http_connections_max = 100;
    tunables.http_connections_unknown = 20;
    tunables.http_connections_per_user = 30;
    runtime = std::make_unique<RealRuntime>(tunables);
    server = std::make_unique<HttpServer>(
        *runtime, log,
        [this](HttpRequest request, std::shared_ptr<HttpResponder> responder) {
          ++handled;
          if (request.target == "/drop") return;
          // Tokens of this test: the user's name.
          if (!request.authorization.empty() && !responder->belongs_to(request.authorization))
            return responder->reply(429, "text/plain", "too many");
          if (request.target == "/stream") {
            responder->start_stream("text/plain", 10, nullptr);
            for (const auto* piece : {"one\n", "two\n"}) responder->write(piece);
            return responder->end_stream();
          }
          responder->reply(200, "text/plain",
                           request.method + " " + request.target + " " + request.body);
        },
        [](const Error& error) { return error.message; });
    const auto listening = server->listen("127.0.0.1", 0);
    EXPECT_TRUE(listening);
    thread = std::thread([this] { runtime->run(); });
  }
  ~HttpServerTest() override {
    runtime->post_from_any_thread([this] {
      server.reset();
      runtime->stop();
    });
    thread.join();
  }

  int connected() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval limit{5, 0};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return socket;
  }

  // Sends the bytes, closes the sending half, reads everything.
  std::string exchange(const std::string& bytes, bool half_close = true) {
    const int socket = connected();
    for (std::size_t sent = 0; sent < bytes.size();) {
      const auto n = ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    if (half_close) shutdown(socket, SHUT_WR);
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = recv(socket, buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, static_cast<std::size_t>(n));
    close(socket);
    return answer;
  }

  Tunables tunables;
  NullLog log;
  std::unique_ptr<RealRuntime> runtime;
  std::unique_ptr<HttpServer> server;
  std::thread thread;
  std::atomic<int> handled = 0;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  const auto answer = exchange(
      "PUT /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
      "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      false);
  EXPECT_NE(answer.find("PUT /a?b hi"), std::string::npos) << answer;
  EXPECT_NE(answer.find("GET /c "), std::string::npos) << answer;
  EXPECT_EQ(handled, 2);
}

TEST_F(HttpServerTest, StreamsInChunks) {
  const auto answer = exchange("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", false);
  EXPECT_NE(answer.find("4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n"), std::string::npos) << answer;
}

TEST_F(HttpServerTest, GarbageIsRefusedAndDoesNoHarm) {
  EXPECT_EQ(exchange("\x16\x03\x01\x02 not http at all\r\n\r\n").substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(exchange("GET / HTTP/9.9\r\n\r\n").substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(exchange("PUT / HTTP/1.1\r\nContent-Length: -5\r\n\r\n").substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(exchange("PUT / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n").substr(0, 12),
            "HTTP/1.1 413");
  EXPECT_EQ(exchange("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n").substr(0, 12),
            "HTTP/1.1 413");
  SimRandom random(7);
  for (int i = 0; i < 200; ++i) {
    std::string bytes(random.below(300), 0);
    for (auto& byte : bytes) byte = static_cast<char>(random.next());
    exchange(bytes);
  }
  const std::string good = "PUT /good HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok";
  for (int i = 0; i < 200; ++i) {
    auto bytes = good;
    bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    exchange(bytes.substr(0, 1 + random.below(bytes.size())));
  }
  EXPECT_EQ(exchange("GET /alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").substr(0, 12),
            "HTTP/1.1 200");
}

TEST_F(HttpServerTest, WhoSaysNothingLocksNobodyOut) {
  std::vector<int> flood;
  for (int i = 0; i < 400; ++i) {
    flood.push_back(connected());
    if (i % 40 == 39) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(
        exchange("GET /work HTTP/1.1\r\nHost: x\r\nAuthorization: ann\r\nConnection: close\r\n\r\n")
            .substr(0, 12),
        "HTTP/1.1 200");
  for (const int one : flood) close(one);
}

TEST_F(HttpServerTest, AUserHasSoManyConnectionsAndOthersTheirs) {
  std::vector<int> held;
  const auto ask = [&](const std::string& user) {
    held.push_back(connected());
    const auto request = "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: " + user + "\r\n\r\n";
    EXPECT_GT(::send(held.back(), request.data(), request.size(), MSG_NOSIGNAL), 0);
    char answer[12] = {};
    return recv(held.back(), answer, sizeof answer, MSG_WAITALL) == sizeof answer
               ? std::string(answer, sizeof answer)
               : std::string("closed");
  };
  for (int i = 0; i < 30; ++i) EXPECT_EQ(ask("ann"), "HTTP/1.1 200") << i;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask("ann"), "HTTP/1.1 429");
  EXPECT_EQ(ask("bob"), "HTTP/1.1 200");
  // What is closed counts no more.
  for (int i = 0; i < 30; ++i) close(held[static_cast<std::size_t>(i)]);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(ask("ann"), "HTTP/1.1 200");
  for (std::size_t i = 30; i < held.size(); ++i) close(held[i]);
}

TEST_F(HttpServerTest, AHandlerThatDropsTheRequestClosesTheConnection) {
  EXPECT_EQ(exchange("GET /drop HTTP/1.1\r\nHost: x\r\n\r\n", false), "");
}

}  // namespace
}  // namespace penstock
