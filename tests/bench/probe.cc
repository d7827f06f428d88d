#include "bench/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::bench {
namespace {

constexpr std::size_t kMostPackets = 100'000;
constexpr int kReceiveBytes = 32 << 20;  // nothing is lost for want of room before it is drained

struct Packet {
  std::uint64_t stream, number;
};

std::uint64_t next_id(Clock::time_point now) {
  return static_cast<std::uint64_t>(now.time_since_epoch().count());
}

}  // namespace

Result<linux_net::Fd> udp_socket_in(const std::string& path, std::uint16_t port) {
  const linux_net::Fd home(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  const linux_net::Fd there(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (there.get() < 0) return fail_errno(errno, path);
  if (setns(there.get(), CLONE_NEWNET) != 0) return fail_errno(errno, "enter " + path);
  // A socket stays in the namespace it was made in.
  linux_net::Fd made(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (setns(home.get(), CLONE_NEWNET) != 0) return fail_errno(errno, "leave " + path);
  if (made.get() < 0) return fail_errno(errno, "socket in " + path);
  setsockopt(made.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof kReceiveBytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (port != 0 && bind(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail_errno(errno, "bind in " + path);
  return made;
}

Stream::Stream(int from, int to, const std::string& address, std::uint16_t port, int packets_per_s)
    : from_(from), to_(to), id_(next_id(Clock::now())), times_(kMostPackets) {
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &target.sin_addr);
  if (connect(from_, reinterpret_cast<sockaddr*>(&target), sizeof target) != 0) return;
  thread_ = std::jthread([this, packets_per_s] { send_all(packets_per_s); });
}

Stream::~Stream() {
  stop();
}

void Stream::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Stream::send_all(int packets_per_s) {
  const auto gap = std::chrono::nanoseconds(1'000'000'000 / packets_per_s);
  auto next = Clock::now();
  for (std::size_t i = 0; i < times_.size() && !stop_; ++i) {
    const Packet packet{id_, i + 1};
    times_[i] = Clock::now();
    // A full queue or an answer of ICMP is as good as a packet that gets lost: it does not arrive.
    (void)!send(from_, &packet, sizeof packet, MSG_NOSIGNAL);
    sent_.store(i + 1, std::memory_order_release);
    next += gap;
    std::this_thread::sleep_until(next);
  }
}

void Stream::drain() {
  Packet packet;
  while (recv(to_, &packet, sizeof packet, 0) == sizeof packet)
    if (packet.stream == id_) last_arrived_ = std::max<std::size_t>(last_arrived_, packet.number);
}

}  // namespace penstock::bench
