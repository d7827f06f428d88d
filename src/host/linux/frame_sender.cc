#include "host/linux/frame_sender.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace penstock::host {

Result<FrameSender> FrameSender::open(std::uint32_t mark) {
  // Protocol 0: it sends only, and no frame is ever copied to it.
  linux_net::Fd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "open a packet socket");
  if (setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) {
    return fail_errno(errno, "set the mark of a packet socket");
  }
  return FrameSender(std::move(fd));
}

Status FrameSender::send(int ifindex, std::span<const std::byte> frame) {
  if (frame.size() < ETH_HLEN)
    return fail(Code::kInvalidArgument, "a frame without an Ethernet header");
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = ifindex;
  to.sll_halen = ETH_ALEN;
  std::memcpy(&to.sll_protocol, frame.data() + 2 * ETH_ALEN, sizeof to.sll_protocol);
  std::memcpy(to.sll_addr, frame.data(), ETH_ALEN);
  const auto sent = sendto(socket_.get(), frame.data(), frame.size(), 0,
                           reinterpret_cast<const sockaddr*>(&to), sizeof to);
  if (sent == static_cast<ssize_t>(frame.size())) return {};
  const auto doing = fmt::format("send a frame on device {}", ifindex);
  if (errno == ENXIO) return fail_errno(ENODEV, doing);
  if (errno == ENETDOWN || errno == ENOBUFS)
    return fail(Code::kUnavailable, doing + ": " + std::strerror(errno));
  return fail_errno(errno, doing);
}

}  // namespace penstock::host
