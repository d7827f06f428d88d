// A numbered UDP sequence, to see whether one single packet is lost.
//   penstock-udp-count send ADDRESS PORT PER_SECOND SECONDS     prints "sent N"
//   penstock-udp-count receive ADDRESS PORT IDLE_MS             until IDLE_MS pass without a
//   packet; prints
//                                                               "received N lost N late N
//                                                               longest_gap_ms N"
// The sender keeps its rate by the clock, so a pause of the machine is made good by a burst, not by
// fewer packets.
#include <algorithm>
#include <cerrno>

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

addrinfo* resolve(const char* address, const char* port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  if (getaddrinfo(address, port, &hints, &found) != 0) {
    std::fprintf(stderr, "penstock-udp-count: %s port %s is not an address\n", address, port);
    std::exit(2);
  }
  return found;
}

int fail(const char* doing) {
  std::perror(doing);
  return 1;
}

int send_all(const addrinfo* to, double per_second, double seconds) {
  const int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) != 0) return fail("connect");
  const auto start = Clock::now();
  const auto total = static_cast<std::uint64_t>(per_second * seconds);
  std::uint64_t sent = 0;
  while (sent < total) {
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    const auto due = static_cast<std::uint64_t>(elapsed * per_second);
    // A late sender may not overrun the receiver's socket buffer.
    for (int burst = 0; sent < due && sent < total && burst < 256; ++burst) {
      const std::uint64_t number = sent;
      if (send(fd, &number, sizeof number, 0) == sizeof number)
        ++sent;
      else if (errno != ECONNREFUSED && errno != ENOBUFS)
        return fail("send");
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  std::printf("sent %llu\n", static_cast<unsigned long long>(sent));
  return 0;
}

int receive_all(const addrinfo* at, int idle_ms) {
  const int fd = socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail("socket");
  const int buffer = 32 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  if (bind(fd, at->ai_addr, at->ai_addrlen) != 0) return fail("bind");
  std::printf("listening\n");
  std::fflush(stdout);
  std::uint64_t received = 0, next = 0, late = 0;
  double longest = 0;
  auto last = Clock::now();
  while (true) {
    pollfd waiting{fd, POLLIN, 0};
    if (poll(&waiting, 1, received == 0 ? 30'000 : idle_ms) <= 0) break;
    std::uint64_t number = 0;
    while (recv(fd, &number, sizeof number, MSG_DONTWAIT) == sizeof number) {
      const auto now = Clock::now();
      if (received++ > 0)
        longest = std::max(longest, std::chrono::duration<double, std::milli>(now - last).count());
      last = now;
      if (number < next)
        ++late;
      else
        next = number + 1;
    }
  }
  std::printf("received %llu lost %llu late %llu longest_gap_ms %.1f\n",
              static_cast<unsigned long long>(received),
              static_cast<unsigned long long>(next - std::min(next, received)),
              static_cast<unsigned long long>(late), longest);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "send" && argc == 6)
    return send_all(resolve(argv[2], argv[3]), std::atof(argv[4]), std::atof(argv[5]));
  if (mode == "receive" && argc == 5)
    return receive_all(resolve(argv[2], argv[3]), std::atoi(argv[4]));
  std::fprintf(stderr,
               "usage: penstock-udp-count send ADDRESS PORT PER_SECOND SECONDS\n"
               "       penstock-udp-count receive ADDRESS PORT IDLE_MS\n");
  return 2;
}
