#include "host/linux/underlay_probe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>
#include <unistd.h>

// After the C library's: they name the same things.
#include <linux/errqueue.h>

#include <fmt/format.h>

#include "host/linux/readable.h"
#include "net/address.h"

namespace penstock::host {
namespace {

constexpr int kMostEnds = 256;
constexpr int kRounds = 3;
constexpr int kSmall = 64, kLeast = 128, kMost = 9'216;  // bytes of the IP packet

std::uint16_t checksum(const std::vector<std::uint8_t>& bytes) {  // RFC 1071
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += bytes[i] << 8 | bytes[i + 1];
  if (bytes.size() % 2) sum += bytes.back() << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

struct To {
  sockaddr_storage address{};
  socklen_t length = 0;
};
std::optional<To> to_of(const IpAddress& address) {
  To to;
  if (address.family == Family::kV4) {
    auto& in = reinterpret_cast<sockaddr_in&>(to.address);
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, address.bytes.data(), 4);
    to.length = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(to.address);
    in.sin6_family = AF_INET6;
    std::memcpy(&in.sin6_addr, address.bytes.data(), 16);
    to.length = sizeof in;
  }
  return to;
}

}  // namespace

// One order: a socket a family, two requests an end.
struct UnderlayProbe::Run : std::enable_shared_from_this<Run> {
  struct End {
    std::string vtep;
    bool small = false, full = false;
    MonoTime sent{};
    std::int64_t rtt_us = 0;
    std::string problem;  // what the system said
    int path_mtu = 0;
  };
  struct Socket {
    int fd = -1;
    bool v6 = false;
    std::unique_ptr<Readable> readable;
    ~Socket() {
      readable.reset();
      if (fd >= 0) ::close(fd);
    }
  };

  Run(RealRuntime& r, const v1::ProbeOrder& o, Done d) : runtime(r), order(o), done(std::move(d)) {}
  ~Run() {
    if (timer) runtime.cancel(*timer);
  }

  void begin() {
    id = static_cast<std::uint16_t>(runtime.random());
    for (const auto& vtep : order.vteps()) {
      if (ends.size() == kMostEnds) break;
      ends.emplace_back().vtep = vtep;
    }
    round();
  }

  // One lost packet is no broken path: what is not answered is asked again within the deadline.
  void round() {
    if (rounds++ == kRounds) return finish();
    for (std::size_t i = 0; i < ends.size(); ++i) {
      auto& end = ends[i];
      if (end.full || !end.problem.empty() || end.path_mtu > 0) continue;
      const auto address = IpAddress::parse(end.vtep);
      if (!address) {
        end.problem = address.error().message;
        continue;
      }
      auto* socket = socket_for(address->family == Family::kV6, end);
      if (!socket) continue;
      end.sent = runtime.now();
      send(*socket, *address, i, kSmall, end);
      send(*socket, *address, i, std::clamp(order.bytes(), kLeast, kMost), end);
    }
    const auto part =
        Duration(std::chrono::milliseconds(runtime.tunables().probe_deadline_ms)) / kRounds;
    timer = runtime.after(part, [this] {
      timer.reset();
      round();
    });
    finish_if_all();
  }

  Socket* socket_for(bool v6, End& end) {
    auto& slot = sockets[v6 ? 1 : 0];
    if (slot) return slot.get();
    auto socket = std::make_unique<Socket>();
    socket->v6 = v6;
    socket->fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                          v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP});
    if (socket->fd < 0) {
      end.problem = fmt::format("this host cannot ping: {}", std::strerror(errno));
      return nullptr;
    }
    const int on = 1;
    // Not fragmented, whatever is known of the path: that is what is asked.
    const int probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE;
    if (v6) {
      ::setsockopt(socket->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof probe6);
      ::setsockopt(socket->fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
      icmp6_filter filter;
      ICMP6_FILTER_SETBLOCKALL(&filter);
      ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
      ::setsockopt(socket->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
    } else {
      ::setsockopt(socket->fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4, sizeof probe4);
      ::setsockopt(socket->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
      // ICMP_FILTER of linux/icmp.h: all but echo replies are kept away.
      const std::uint32_t filter = ~(1u << ICMP_ECHOREPLY);
      ::setsockopt(socket->fd, SOL_RAW, 1, &filter, sizeof filter);
    }
    socket->readable = std::make_unique<Readable>(
        runtime, socket->fd, [this, keep = weak_from_this(), raw = socket.get()] {
          const auto self = keep.lock();
          if (self) read(*raw);
        });
    slot = std::move(socket);
    return slot.get();
  }

  // Sequence 2 * end + 1 is the full one.
  void send(Socket& socket, const IpAddress& address, std::size_t end_index, int bytes, End& end) {
    const bool full = bytes != kSmall;
    const std::size_t header = socket.v6 ? 40 : 20;
    std::vector<std::uint8_t> packet(static_cast<std::size_t>(bytes) - header);
    const auto sequence = static_cast<std::uint16_t>(end_index * 2 + (full ? 1 : 0));
    packet[0] = socket.v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
    packet[4] = static_cast<std::uint8_t>(id >> 8);
    packet[5] = static_cast<std::uint8_t>(id);
    packet[6] = static_cast<std::uint8_t>(sequence >> 8);
    packet[7] = static_cast<std::uint8_t>(sequence);
    if (!socket.v6) {  // of ICMPv6 the kernel makes it
      const auto sum = checksum(packet);
      packet[2] = static_cast<std::uint8_t>(sum >> 8);
      packet[3] = static_cast<std::uint8_t>(sum);
    }
    const auto to = to_of(address);
    if (::sendto(socket.fd, packet.data(), packet.size(), 0,
                 reinterpret_cast<const sockaddr*>(&to->address), to->length) >= 0)
      return;
    if (errno == ENOBUFS || errno == EAGAIN) return;  // as if it were lost
    end.problem = errno == EMSGSIZE
                      ? fmt::format("{} bytes are more than this host's own device takes", bytes)
                      : std::strerror(errno);
  }

  void read(Socket& socket) {
    read_errors(socket);
    std::array<std::uint8_t, 65536> bytes;
    while (true) {
      const auto n = ::recv(socket.fd, bytes.data(), bytes.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != EAGAIN) {  // an error of an earlier packet, read above
        read_errors(socket);
        continue;
      }
      if (n < 0) break;
      const std::size_t skip = socket.v6 ? 0 : static_cast<std::size_t>(bytes[0] & 15) * 4;
      if (static_cast<std::size_t>(n) < skip + 8) continue;
      const auto* icmp = bytes.data() + skip;
      if (icmp[0] != (socket.v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY)) continue;
      if ((icmp[4] << 8 | icmp[5]) != id) continue;
      const auto sequence = static_cast<std::size_t>(icmp[6] << 8 | icmp[7]);
      if (sequence / 2 >= ends.size()) continue;
      auto& end = ends[sequence / 2];
      if (sequence % 2 == 0) {
        end.small = true;
      } else if (!end.full) {
        end.full = true;
        end.rtt_us =
            std::chrono::duration_cast<std::chrono::microseconds>(runtime.now() - end.sent).count();
      }
    }
    finish_if_all();
  }

  // ICMP errors about what was sent: what a router on the way cannot carry.
  void read_errors(Socket& socket) {
    std::array<std::uint8_t, 512> data;
    alignas(cmsghdr) std::array<char, 512> control;
    while (true) {
      iovec part{data.data(), data.size()};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const auto n = ::recvmsg(socket.fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
      if (n < 0) return;
      for (auto* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        const bool ours = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                          (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
        if (!ours) continue;
        sock_extended_err error;
        std::memcpy(&error, CMSG_DATA(c), sizeof error);
        if (n < 8 || (data[4] << 8 | data[5]) != id) continue;
        const auto sequence = static_cast<std::size_t>(data[6] << 8 | data[7]);
        if (sequence / 2 >= ends.size()) continue;
        auto& end = ends[sequence / 2];
        if (error.ee_errno == EMSGSIZE)
          end.path_mtu = static_cast<int>(error.ee_info);
        else
          end.problem = std::strerror(static_cast<int>(error.ee_errno));
      }
    }
  }

  void finish_if_all() {
    if (std::ranges::all_of(ends, [](const End& end) {
          return end.full || !end.problem.empty() || (end.small && end.path_mtu > 0);
        }))
      runtime.post([keep = weak_from_this()] {
        if (const auto self = keep.lock()) self->finish();
      });
  }

  void finish() {
    if (!done) return;
    if (timer) runtime.cancel(*std::exchange(timer, std::nullopt));
    v1::ProbeReport report;
    report.set_id(order.id());
    const auto ms = runtime.tunables().probe_deadline_ms;
    for (const auto& end : ends) {
      auto& answer = *report.add_answers();
      answer.set_vtep(end.vtep);
      answer.set_answered(end.full);
      answer.set_rtt_us(end.rtt_us);
      if (end.full) continue;
      answer.set_problem(
          end.path_mtu > 0
              ? fmt::format("path carries {} bytes, {} are needed", end.path_mtu, order.bytes())
          : !end.problem.empty() ? end.problem
          : end.small ? fmt::format("small packets are answered, {} bytes are not in {} ms",
                                    order.bytes(), ms)
                      : fmt::format("no answer in {} ms", ms));
    }
    const auto tell = std::exchange(done, nullptr);
    tell(std::move(report));
  }

  RealRuntime& runtime;
  v1::ProbeOrder order;
  Done done;
  std::uint16_t id = 0;
  int rounds = 0;
  std::vector<End> ends;
  std::array<std::unique_ptr<Socket>, 2> sockets;
  std::optional<TimerId> timer;
};

UnderlayProbe::UnderlayProbe(RealRuntime& runtime) : runtime_(runtime) {}
UnderlayProbe::~UnderlayProbe() = default;

void UnderlayProbe::probe(const v1::ProbeOrder& order, Done done) {
  std::erase_if(runs_, [](const auto& run) { return !run->done; });
  runs_.push_back(std::make_shared<Run>(runtime_, order, std::move(done)));
  runs_.back()->begin();
}

}  // namespace penstock::host
