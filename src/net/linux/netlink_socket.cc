#include "net/linux/netlink_socket.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace penstock::linux_net {

// libmnl's own macros for this are C: they turn void* into nlattr* without a cast.
void for_each_attribute(const nlmsghdr& message, std::size_t header_bytes,
                        const std::function<void(const nlattr*)>& each) {
  const auto* at = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(&message, header_bytes));
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(&message));
  while (mnl_attr_ok(at, static_cast<int>(end - reinterpret_cast<const char*>(at)))) {
    each(at);
    at = mnl_attr_next(at);
  }
}

void for_each_nested(const nlattr* nest, const std::function<void(const nlattr*)>& each) {
  const auto* at = static_cast<const nlattr*>(mnl_attr_get_payload(nest));
  const char* end = reinterpret_cast<const char*>(at) + mnl_attr_get_payload_len(nest);
  while (mnl_attr_ok(at, static_cast<int>(end - reinterpret_cast<const char*>(at)))) {
    each(at);
    at = mnl_attr_next(at);
  }
}

namespace {

// A dump answers with up to 32 KiB a receive call when the buffer allows it (netlink_dump in
// af_netlink.c).
constexpr std::size_t kReceiveBytes = 32 * 1024;
// How often an interrupted dump is started again before its error is reported.
constexpr int kDumpTries = 16;

void set_option(int fd, int option) {
  const int on = 1;
  // Each only improves error texts or strictness; kernels that lack one work without it.
  setsockopt(fd, SOL_NETLINK, option, &on, sizeof on);
}

// The extended ack's text (NLMSGERR_ATTR_MSG), when the kernel sent one.
std::string_view explanation(const nlmsghdr& message) {
  if (!(message.nlmsg_flags & NLM_F_ACK_TLVS)) return {};
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&message));
  std::size_t offset = sizeof(nlmsgerr);
  if (!(message.nlmsg_flags & NLM_F_CAPPED)) offset += error->msg.nlmsg_len - sizeof(nlmsghdr);
  std::string_view text;
  for_each_attribute(message, offset, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) != NLMSGERR_ATTR_MSG) return;
    if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0) text = mnl_attr_get_str(attribute);
  });
  return text;
}

std::unexpected<Error> kernel_refused(int error_number, std::string_view doing,
                                      std::string_view why) {
  auto failed = fail_errno(error_number, doing);
  if (why.empty()) return failed;
  Error error = std::move(failed).error();
  error.message += fmt::format(" ({})", why);
  return std::unexpected(std::move(error));
}

}  // namespace

NetlinkRequest::NetlinkRequest(std::uint16_t type, std::uint16_t flags) {
  auto* header = static_cast<nlmsghdr*>(grow(sizeof(nlmsghdr)));
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
}

void* NetlinkRequest::grow(std::size_t bytes) {
  const auto start = bytes_.size();
  bytes_.resize(start + NLMSG_ALIGN(bytes));
  return bytes_.data() + start;
}

void NetlinkRequest::put(std::uint16_t attribute, std::span<const std::byte> payload) {
  auto* header = static_cast<nlattr*>(grow(sizeof(nlattr) + payload.size()));
  header->nla_type = attribute;
  header->nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + payload.size());
  if (!payload.empty()) std::memcpy(header + 1, payload.data(), payload.size());
}

void NetlinkRequest::put_u8(std::uint16_t attribute, std::uint8_t value) {
  put(attribute, std::as_bytes(std::span(&value, 1)));
}
void NetlinkRequest::put_u16_be(std::uint16_t attribute, std::uint16_t host_order) {
  const std::uint16_t wire = htons(host_order);
  put(attribute, std::as_bytes(std::span(&wire, 1)));
}
void NetlinkRequest::put_u32(std::uint16_t attribute, std::uint32_t value) {
  put(attribute, std::as_bytes(std::span(&value, 1)));
}
void NetlinkRequest::put_text(std::uint16_t attribute, std::string_view text) {
  const std::string terminated(text);
  put(attribute, std::as_bytes(std::span(terminated.c_str(), terminated.size() + 1)));
}

void NetlinkRequest::nest(std::uint16_t attribute, const std::function<void()>& fill,
                          std::size_t inner_header_bytes) {
  const auto start = bytes_.size();
  grow(sizeof(nlattr) + inner_header_bytes);
  fill();
  auto* header = reinterpret_cast<nlattr*>(bytes_.data() + start);
  header->nla_type = attribute;
  header->nla_len = static_cast<std::uint16_t>(bytes_.size() - start);
}

nlmsghdr& NetlinkRequest::finish(std::uint32_t sequence) {
  auto* header = reinterpret_cast<nlmsghdr*>(bytes_.data());
  header->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
  header->nlmsg_seq = sequence;
  return *header;
}

Result<NetlinkSocket> NetlinkSocket::open() {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return fail_errno(errno, "open a netlink socket");
  set_option(fd.get(), NETLINK_EXT_ACK);
  set_option(fd.get(), NETLINK_CAP_ACK);
  set_option(fd.get(), NETLINK_GET_STRICT_CHK);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(errno, "bind a netlink socket");
  }
  return NetlinkSocket(std::move(fd));
}

Result<NetlinkSocket> NetlinkSocket::open_in(const NetNamespace& where) {
  std::optional<NetlinkSocket> made;
  PENSTOCK_CHECK(where.run([&]() -> Status {
    made = PENSTOCK_TRY(open());
    return {};
  }));
  return std::move(*made);
}

Result<NetlinkSocket> NetlinkSocket::open_listener(std::span<const unsigned> groups) {
  auto made = PENSTOCK_TRY(open());
  for (const unsigned group : groups) {
    if (setsockopt(made.fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      return fail_errno(errno, fmt::format("listen to netlink group {}", group));
    }
  }
  return made;
}

Status NetlinkSocket::send(nlmsghdr& message, std::string_view doing) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const auto sent = sendto(fd_.get(), &message, message.nlmsg_len, 0,
                           reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent != static_cast<ssize_t>(message.nlmsg_len)) return fail_errno(errno, doing);
  return {};
}

Status NetlinkSocket::receive(std::uint32_t sequence, std::string_view doing, bool* interrupted,
                              const std::function<void(const nlmsghdr&)>& each) {
  alignas(nlmsghdr) std::array<char, kReceiveBytes> buffer;
  for (;;) {
    const auto got = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, doing);
    int left = static_cast<int>(got);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
         mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sequence) continue;  // the rest of an answer given up on
      if (message->nlmsg_flags & NLM_F_DUMP_INTR) *interrupted = true;
      if (message->nlmsg_type == NLMSG_DONE) {
        int error = 0;  // a dump that failed half-way says so at its end
        if (mnl_nlmsg_get_payload_len(message) >= sizeof error) {
          std::memcpy(&error, mnl_nlmsg_get_payload(message), sizeof error);
        }
        if (error < 0) return kernel_refused(-error, doing, {});
        return {};
      }
      if (message->nlmsg_type == NLMSG_ERROR) {
        const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
        if (error->error == 0) return {};
        return kernel_refused(-error->error, doing, explanation(*message));
      }
      if (each) each(*message);
    }
  }
}

Status NetlinkSocket::request(NetlinkRequest& message, std::string_view doing) {
  auto& header = message.finish(++sequence_);
  header.nlmsg_flags |= NLM_F_ACK;
  PENSTOCK_CHECK(send(header, doing));
  bool interrupted = false;
  return receive(sequence_, doing, &interrupted, {});
}

Status NetlinkSocket::dump(NetlinkRequest& message, std::string_view doing,
                           const std::function<void()>& restart,
                           const std::function<void(const nlmsghdr&)>& each) {
  for (int round = 0; round < kDumpTries; ++round) {
    restart();
    auto& header = message.finish(++sequence_);
    header.nlmsg_flags |= NLM_F_DUMP;
    PENSTOCK_CHECK(send(header, doing));
    bool interrupted = false;
    PENSTOCK_CHECK(receive(sequence_, doing, &interrupted, each));
    if (!interrupted) return {};
  }
  return fail(Code::kUnavailable,
              fmt::format("{}: the kernel's list changed under every one of {} readings", doing,
                          kDumpTries));
}

Result<bool> NetlinkSocket::drain() {
  std::array<char, kReceiveBytes> buffer;
  bool any = false;
  for (;;) {
    if (recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
      any = true;
      continue;
    }
    if (errno == EAGAIN) return any;
    if (errno == EINTR) continue;
    if (errno != ENOBUFS) return fail_errno(errno, "read netlink notifications");
    any = true;
  }
}

}  // namespace penstock::linux_net
