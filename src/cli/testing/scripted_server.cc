#include "cli/testing/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>

#include <fmt/format.h>

namespace penstock::cli {
namespace {

// Reads more of the connection; false at its end or when the server stops.
bool read_more(int fd, std::string& buffer, const std::atomic<bool>& stop) {
  while (!stop) {
    pollfd wait{fd, POLLIN, 0};
    if (::poll(&wait, 1, 20) <= 0) continue;
    char bytes[65536];
    const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  return false;
}

std::string header(const std::string& head, std::string_view name) {
  std::string lower = head;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto at = lower.find(fmt::format("\r\n{}:", name));
  if (at == std::string::npos) return {};
  const auto start = head.find_first_not_of(' ', at + name.size() + 3);
  return head.substr(start, head.find("\r\n", start) - start);
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no loopback socket");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_loop(); });
}

ScriptedServer::~ScriptedServer() {
  stop_ = true;
  acceptor_.join();
  for (auto& worker : workers_) worker.join();
  ::close(listener_);
}

std::string ScriptedServer::url() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

std::vector<ScriptedRequest> ScriptedServer::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

void ScriptedServer::accept_loop() {
  while (!stop_) {
    pollfd wait{listener_, POLLIN, 0};
    if (::poll(&wait, 1, 20) <= 0) continue;
    const int fd = ::accept(listener_, nullptr, nullptr);
    if (fd < 0) continue;
    ++connections_;
    workers_.emplace_back([this, fd] {
      serve(fd);
      ::close(fd);
    });
  }
}

void ScriptedServer::serve(int fd) {
  std::string buffer;
  for (;;) {
    std::size_t end;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more(fd, buffer, stop_)) return;
    }
    const std::string head = buffer.substr(0, end + 2);
    const auto length =
        static_cast<std::size_t>(std::atoll(header(head, "content-length").c_str()));
    buffer.erase(0, end + 4);
    while (buffer.size() < length) {
      if (!read_more(fd, buffer, stop_)) return;
    }
    const auto space = head.find(' ');
    ScriptedRequest request{
        head.substr(0, space), head.substr(space + 1, head.find(' ', space + 1) - space - 1),
        header(head, "authorization"), buffer.substr(0, length), header(head, "content-type")};
    buffer.erase(0, length);
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back(request);
    }
    const ScriptedAnswer answer = script_(request);
    std::this_thread::sleep_for(std::chrono::milliseconds(answer.delay_ms));
    if (answer.hang_up) return;
    if (answer.chunked) {
      send_all(fd,
               fmt::format("HTTP/1.1 {} X\r\nTransfer-Encoding: chunked\r\n\r\n", answer.status));
      for (std::size_t at = 0; at < answer.body.size(); at += 7) {
        const auto part = std::string_view(answer.body).substr(at, 7);
        send_all(fd, fmt::format("{:x}\r\n{}\r\n", part.size(), part));
      }
      send_all(fd, "0\r\n\r\n");
    } else {
      send_all(
          fd, fmt::format(
                  "HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                  answer.status, answer.body.size(), answer.body));
    }
    if (answer.close_after) return;
  }
}

}  // namespace penstock::cli
