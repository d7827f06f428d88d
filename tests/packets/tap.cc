#include "tests/packets/tap.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <arpa/inet.h>

#include <fmt/format.h>

#include "base/ensure.h"

namespace penstock::packets {
namespace {

constexpr std::size_t kEthernet = 14;

struct Layout {
  bool six;
  std::uint8_t protocol;
  std::size_t transport, checksum;  // offsets in the frame
};

Layout layout_of(const Frame& frame) {
  const bool six = frame[12] == 0x86;
  const std::size_t transport = kEthernet + (six ? 40 : 20);
  const std::uint8_t protocol = frame[six ? 20 : 23];
  ensure(protocol == 6 || protocol == 17, "TCP or UDP without options or extension headers");
  return {six, protocol, transport, transport + (protocol == 6 ? 16U : 6U)};
}

std::uint32_t sum_of(const std::uint8_t* bytes, std::size_t count) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += i % 2 ? bytes[i] : bytes[i] << 8;
  return sum;
}
std::uint16_t folded(std::uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}
void put(Frame& frame, std::size_t at, std::uint16_t value) {
  frame[at] = static_cast<std::uint8_t>(value >> 8);
  frame[at + 1] = static_cast<std::uint8_t>(value);
}

std::optional<GuestFrame> read_frame(int fd, int limit_ms) {
  pollfd arrival{fd, POLLIN, 0};
  if (poll(&arrival, 1, limit_ms) <= 0) return std::nullopt;
  GuestFrame out;
  out.frame.resize(70'000);
  const std::array<iovec, 2> parts{iovec{&out.header, sizeof(out.header)},
                                   iovec{out.frame.data(), out.frame.size()}};
  const auto got = readv(fd, parts.data(), parts.size());
  ensure(got >= static_cast<ssize_t>(sizeof(out.header) + kEthernet), "a frame from the device");
  out.frame.resize(static_cast<std::size_t>(got) - sizeof(out.header));
  return out;
}

void write_frame(int fd, const GuestFrame& out) {
  auto header = out.header;
  auto frame = out.frame;
  const std::array<iovec, 2> parts{iovec{&header, sizeof(header)},
                                   iovec{frame.data(), frame.size()}};
  const auto sent = writev(fd, parts.data(), parts.size());
  ensure(sent == static_cast<ssize_t>(sizeof(header) + frame.size()), "the device takes a frame");
}

}  // namespace

GuestFrame to_be_summed(Frame frame) {
  const auto at = layout_of(frame);
  const std::size_t addresses = kEthernet + (at.six ? 8 : 12), length = at.six ? 32 : 8;
  const auto pseudo = folded(sum_of(frame.data() + addresses, length) + at.protocol +
                             static_cast<std::uint32_t>(frame.size() - at.transport));
  put(frame, at.checksum, pseudo);
  GuestFrame out;
  out.header.flags = kNeedsChecksum;
  out.header.csum_start = static_cast<std::uint16_t>(at.transport);
  out.header.csum_offset = static_cast<std::uint16_t>(at.checksum - at.transport);
  out.frame = std::move(frame);
  return out;
}

GuestFrame to_be_segmented(Frame frame, std::uint16_t segment) {
  auto out = to_be_summed(std::move(frame));
  const auto at = layout_of(out.frame);
  out.header.gso_type = at.six ? kTcp6Segments : kTcp4Segments;
  out.header.gso_size = segment;
  out.header.hdr_len = static_cast<std::uint16_t>(at.transport + 20);
  return out;
}

Frame summed(GuestFrame from) {
  if (!(from.header.flags & kNeedsChecksum)) return from.frame;
  const std::size_t start = from.header.csum_start, at = start + from.header.csum_offset;
  ensure(at + 2 <= from.frame.size(), "the checksum is in the frame");
  const auto sum = folded(sum_of(from.frame.data() + start, from.frame.size() - start));
  put(from.frame, at, static_cast<std::uint16_t>(~sum));
  return from.frame;
}

Tap::Tap(const std::string& name, bool offloads) : fd_(::open("/dev/net/tun", O_RDWR | O_CLOEXEC)) {
  ensure(bool(fd_), "open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  name.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  ensure(ioctl(fd_.get(), TUNSETIFF, &request) == 0, "make a TAP");
  const unsigned wanted = offloads ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
  ensure(ioctl(fd_.get(), TUNSETOFFLOAD, wanted) == 0, "offloads of a TAP");
  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  request.ifr_flags = IFF_UP;
  ensure(ioctl(control, SIOCSIFFLAGS, &request) == 0, "TAP up");
  close(control);
}

void Tap::send(const GuestFrame& frame) {
  write_frame(fd_.get(), frame);
}
std::optional<GuestFrame> Tap::receive(int limit_ms) {
  return read_frame(fd_.get(), limit_ms);
}

PacketSocket::PacketSocket(const std::string& netns, const std::string& device) {
  const linux_net::Fd here(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  const linux_net::Fd there(::open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC));
  ensure(here && there && setns(there.get(), CLONE_NEWNET) == 0, "enter the namespace");
  fd_ = linux_net::Fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(ETH_P_ALL);
  at.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
  const int on = 1;
  const bool made =
      setsockopt(fd_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) == 0 &&
      setsockopt(fd_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) == 0 &&
      bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0;
  ensure(setns(here.get(), CLONE_NEWNET) == 0, "come back");
  ensure(made, "a packet socket with virtio headers");
}

void PacketSocket::send(const GuestFrame& frame) {
  write_frame(fd_.get(), frame);
}
std::optional<GuestFrame> PacketSocket::receive(int limit_ms) {
  return read_frame(fd_.get(), limit_ms);
}

}  // namespace penstock::packets
