// One byte there, one byte back, over one TCP connection, as fast as it goes.
//   penstock-ping-pong server PORT                     serves any number of clients, one at a time
//   penstock-ping-pong client ADDRESS PORT SECONDS     prints transactions a second
// Ends with 1 when there is no connection within two seconds or it breaks.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

using Clock = std::chrono::steady_clock;

int stop(const char* doing) {
  std::perror(doing);
  return 1;
}

void without_delay(int socket) {
  const int one = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// IPv6 sockets take both families: an IPv4 address is written as ::ffff:a.b.c.d.
sockaddr_in6 address_of(const std::string& text, int port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<std::uint16_t>(port));
  const auto mapped = text.find(':') == std::string::npos ? "::ffff:" + text : text;
  if (inet_pton(AF_INET6, mapped.c_str(), &address.sin6_addr) != 1) {
    std::fprintf(stderr, "%s is not an address\n", text.c_str());
    std::exit(2);
  }
  return address;
}

int serve(int port) {
  const int listener = socket(AF_INET6, SOCK_STREAM, 0);
  const int one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  auto address = address_of("::", port);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 8) != 0)
    return stop("listen");
  while (true) {
    const int client = accept(listener, nullptr, nullptr);
    if (client < 0) return stop("accept");
    without_delay(client);
    char byte;
    while (read(client, &byte, 1) == 1 && send(client, &byte, 1, MSG_NOSIGNAL) == 1) {
    }
    close(client);
  }
}

int run_client(const std::string& to, int port, double seconds) {
  const int server = socket(AF_INET6, SOCK_STREAM, 0);
  // Also the limit of connect(2).
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  auto address = address_of(to, port);
  if (connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return stop("connect");
  without_delay(server);
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration<double>(seconds);
  std::uint64_t count = 0;
  char byte = 'x';
  auto now = start;
  for (; now < end; now = Clock::now(), ++count)
    if (send(server, &byte, 1, MSG_NOSIGNAL) != 1 || read(server, &byte, 1) != 1)
      return stop("transaction");
  std::printf("%.1f\n",
              static_cast<double>(count) / std::chrono::duration<double>(now - start).count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "server" && argc == 3) return serve(std::atoi(argv[2]));
  if (verb == "client" && argc == 5)
    return run_client(argv[2], std::atoi(argv[3]), std::atof(argv[4]));
  std::fprintf(stderr,
               "penstock-ping-pong server PORT | penstock-ping-pong client ADDRESS PORT SECONDS\n");
  return 2;
}
