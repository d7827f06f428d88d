#include "lab/capture/sniffer.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <array>
#include <cstring>
#include <map>

#include <fmt/format.h>

#include "net/linux/fd.h"
#include "net/linux/namespace.h"

namespace penstock::lab {
namespace {

using linux_net::Fd;
using linux_net::NetNamespace;
using std::chrono::nanoseconds;

constexpr std::size_t kLargestPacket = 262'144;
constexpr int kSocketBuffer = 32 << 20;
constexpr std::size_t kFlushBytes = 256 << 10;

// One socket in one namespace.
struct Source {
  SniffPlace place;
  NetNamespace space;
  Fd fd;
  std::map<int, std::uint32_t> interfaces;  // ifindex -> number in the file
};

Result<Fd> open_socket(const SniffPlace& place, const std::vector<sock_filter>& filter) {
  Fd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));  // deaf until it is bound
  if (!fd) return fail_errno(errno, "open a packet socket");
  const int on = 1, buffer = kSocketBuffer;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  if (setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0 ||
      setsockopt(fd.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0)
    return fail_errno(errno, "set up a packet socket");
  if (!filter.empty()) {
    const sock_fprog program{static_cast<unsigned short>(filter.size()),
                             const_cast<sock_filter*>(filter.data())};
    if (setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
      return fail_errno(errno, "attach the filter");
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  if (!place.interface.empty()) {
    address.sll_ifindex = static_cast<int>(if_nametoindex(place.interface.c_str()));
    if (address.sll_ifindex == 0) {
      std::string known;
      if (auto* all = if_nameindex()) {
        for (auto* one = all; one->if_index != 0; ++one)
          known += (known.empty() ? "" : ", ") + std::string(one->if_name);
        if_freenameindex(all);
      }
      return fail(Code::kNotFound,
                  fmt::format("{} has no interface {}", place.node, place.interface),
                  "interfaces: " + known);
    }
  }
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno(errno, "listen on " + place.node);
  return fd;
}

Result<Source> open_source(const SniffPlace& place, const std::vector<sock_filter>& filter) {
  auto space = PENSTOCK_TRY(NetNamespace::open(place.netns));
  Fd fd;
  PENSTOCK_CHECK(space.run([&]() -> Status {
    fd = PENSTOCK_TRY(open_socket(place, filter));
    return {};
  }));
  return Source{place, std::move(space), std::move(fd), {}};
}

std::string interface_name(const Source& source, int ifindex) {
  std::string name;
  (void)source.space.run([&]() -> Status {
    std::array<char, IF_NAMESIZE> buffer{};
    if (if_indextoname(static_cast<unsigned>(ifindex), buffer.data())) name = buffer.data();
    return {};
  });
  return name.empty() ? fmt::format("if{}", ifindex) : name;
}

class Sniffer {
 public:
  Sniffer(std::vector<Source> sources, const SniffLimits& limits,
          const std::function<bool(std::string_view)>& write)
      : sources_(std::move(sources)), limits_(limits), write_(write), buffer_(kLargestPacket) {}

  Result<SniffCounts> run(const Fd& signals, const Fd& timer, const std::function<void()>& ready,
                          const std::function<void(const SniffCounts&)>& tick) {
    pending_ = pcapng::section("penstock lab capture", "");
    flush();
    ready();
    std::vector<pollfd> waiting{{signals.get(), POLLIN, 0}, {timer.get(), POLLIN, 0}};
    for (const auto& source : sources_) waiting.push_back({source.fd.get(), POLLIN, 0});
    while (!done_) {
      const int count = poll(waiting.data(), waiting.size(), 1'000);
      if (count < 0 && errno != EINTR) return fail_errno(errno, "wait for packets");
      const bool last = waiting[0].revents != 0 || waiting[1].revents != 0;
      // Also at the end: what passed before the signal is in the sockets.
      for (std::size_t i = 0; i < sources_.size(); ++i)
        if (last || waiting[i + 2].revents != 0) read_all(sources_[i]);
      flush();
      tick(counts_);
      if (last) break;
    }
    statistics();
    flush();
    return counts_;
  }

 private:
  void read_all(Source& source) {
    while (!done_ && read_one(source)) {
      if (pending_.size() > kFlushBytes) flush();
    }
  }

  bool read_one(Source& source) {
    sockaddr_ll from{};
    // The first 4 bytes stay free for a VLAN tag, which the kernel keeps beside the packet.
    iovec part{buffer_.data() + 4, buffer_.size() - 4};
    alignas(cmsghdr) std::array<char, 256> control;
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto size = recvmsg(source.fd.get(), &message, MSG_TRUNC);
    if (size < 0) return false;
    // On `lo` each packet is seen leaving and arriving.
    if (from.sll_hatype == ARPHRD_LOOPBACK && from.sll_pkttype == PACKET_OUTGOING) return true;
    pcapng::Packet packet;
    auto* bytes = buffer_.data() + 4;
    auto kept = std::min(static_cast<std::size_t>(size), part.iov_len);
    packet.length = static_cast<std::uint32_t>(size);
    for (auto* item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
      if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SO_TIMESTAMPNS) {
        timespec time{};
        std::memcpy(&time, CMSG_DATA(item), sizeof time);
        packet.time = std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
      } else if (item->cmsg_level == SOL_PACKET && item->cmsg_type == PACKET_AUXDATA) {
        tpacket_auxdata aux{};
        std::memcpy(&aux, CMSG_DATA(item), sizeof aux);
        if ((aux.tp_status & TP_STATUS_VLAN_VALID) && kept >= 2 * ETH_ALEN) {
          const std::uint16_t tag[] = {
              htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETH_P_8021Q),
              htons(aux.tp_vlan_tci)};
          std::memmove(buffer_.data(), bytes, 2 * ETH_ALEN);
          std::memcpy(buffer_.data() + 2 * ETH_ALEN, tag, sizeof tag);
          bytes = buffer_.data();
          kept += sizeof tag;
          packet.length += sizeof tag;
        }
      }
    }
    packet.bytes = {bytes, kept};
    packet.interface = interface(source, from);
    packet.direction =
        from.sll_pkttype == PACKET_OUTGOING ? pcapng::Direction::kOut : pcapng::Direction::kIn;
    pending_ += pcapng::packet_block(packet);
    last_time_ = packet.time;
    if (++counts_.packets == limits_.packets) done_ = true;
    return true;
  }

  std::uint32_t interface(Source& source, const sockaddr_ll& from) {
    const auto found = source.interfaces.find(from.sll_ifindex);
    if (found != source.interfaces.end()) return found->second;
    const bool ethernet = from.sll_hatype == ARPHRD_ETHER || from.sll_hatype == ARPHRD_LOOPBACK;
    pending_ += pcapng::interface_block(
        {.name = source.place.node + ":" + interface_name(source, from.sll_ifindex),
         .description = {},
         .link_type = ethernet ? pcapng::kEthernet : pcapng::kRawIp});
    return source.interfaces[from.sll_ifindex] = next_interface_++;
  }

  void statistics() {
    for (auto& source : sources_) {
      tpacket_stats stats{};
      socklen_t length = sizeof stats;
      if (getsockopt(source.fd.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &length) != 0)
        continue;
      counts_.dropped += stats.tp_drops;
      // A socket's counts are of all its interfaces together: told where there is one.
      if (source.interfaces.size() == 1)
        pending_ += pcapng::statistics_block(source.interfaces.begin()->second, last_time_,
                                             stats.tp_packets, stats.tp_drops);
    }
  }

  void flush() {
    if (!pending_.empty() && !write_(pending_)) done_ = true;
    pending_.clear();
  }

  std::vector<Source> sources_;
  const SniffLimits limits_;
  const std::function<bool(std::string_view)>& write_;
  std::vector<std::byte> buffer_;
  std::string pending_;
  std::uint32_t next_interface_ = 0;
  nanoseconds last_time_{0};
  SniffCounts counts_;
  bool done_ = false;
};

}  // namespace

Result<SniffCounts> sniff(const std::vector<SniffPlace>& places,
                          const std::vector<sock_filter>& filter, const SniffLimits& limits,
                          const std::function<bool(std::string_view)>& write,
                          const std::function<void()>& ready,
                          const std::function<void(const SniffCounts&)>& tick) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const Fd signals(signalfd(-1, &ends, SFD_CLOEXEC));
  const Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!signals || !timer) return fail_errno(errno, "wait for signals");
  std::vector<Source> sources;
  for (const auto& place : places) sources.push_back(PENSTOCK_TRY(open_source(place, filter)));
  if (limits.time) {
    itimerspec when{};
    when.it_value.tv_sec = limits.time->count() / 1'000'000'000;
    when.it_value.tv_nsec = limits.time->count() % 1'000'000'000;
    timerfd_settime(timer.get(), 0, &when, nullptr);
  }
  return Sniffer(std::move(sources), limits, write).run(signals, timer, ready, tick);
}

}  // namespace penstock::lab
