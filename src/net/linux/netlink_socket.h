// Route netlink (rtnetlink(7)): one message at a time, one socket, over libmnl.
//
// Threading: a socket belongs to one thread or strand at a time. It stays in the network namespace
// in which it was opened, whatever thread uses it later: that is how one process works in many
// namespaces without ever changing its own. Performance: a request is two system calls. Errors
// carry the kernel's own explanation (extended ack) if any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include <linux/netlink.h>

#include "base/error.h"
#include "net/linux/fd.h"
#include "net/linux/namespace.h"

namespace penstock::linux_net {

// A message being built: header, family header, attributes, in kernel byte order. Grows as needed.
class NetlinkRequest {
 public:
  // `type` is RTM_*, `flags` NLM_F_*; NLM_F_REQUEST is always set.
  NetlinkRequest(std::uint16_t type, std::uint16_t flags);

  // Reserves and zeroes the family header (ifinfomsg, ifaddrmsg, rtmsg), which comes before all
  // attributes. The pointer is valid until the next call.
  template <typename T>
  T* header() {
    return static_cast<T*>(grow(sizeof(T)));
  }
  void put(std::uint16_t attribute, std::span<const std::byte> payload);
  void put_u8(std::uint16_t attribute, std::uint8_t);
  void put_u16_be(std::uint16_t attribute, std::uint16_t host_order);
  void put_u32(std::uint16_t attribute, std::uint32_t);
  void put_text(std::uint16_t attribute, std::string_view);  // with its terminating zero
  // Calls `fill`, which puts the members, inside an attribute. `inner_header_bytes` zeroed bytes
  // come first.
  void nest(std::uint16_t attribute, const std::function<void()>& fill,
            std::size_t inner_header_bytes = 0);

  nlmsghdr& finish(std::uint32_t sequence);

 private:
  void* grow(std::size_t bytes);
  std::vector<std::byte> bytes_;
};

// Calls `each` for the attributes of a message after its family header, or of a nest.
void for_each_attribute(const nlmsghdr&, std::size_t header_bytes,
                        const std::function<void(const nlattr*)>& each);
void for_each_nested(const nlattr* nest, const std::function<void(const nlattr*)>& each);

class NetlinkSocket {
 public:
  // In the network namespace of the calling thread, or in `where`.
  static Result<NetlinkSocket> open();
  static Result<NetlinkSocket> open_in(const NetNamespace& where);
  // Receives notifications of these multicast groups (RTNLGRP_*); not meant for requests.
  static Result<NetlinkSocket> open_listener(std::span<const unsigned> groups);

  // Sends and waits for the kernel's acknowledgement. `doing` names the step in the error: "create
  // veth ps-p7".
  Status request(NetlinkRequest&, std::string_view doing);
  // Sends and hands every message of the answer to `each`; a dump that changed under way is started
  // again, so `restart` must forget what it gathered.
  Status dump(NetlinkRequest&, std::string_view doing, const std::function<void()>& restart,
              const std::function<void(const nlmsghdr&)>& each);

  // Reads and throws away what has arrived, without waiting. True when there was something, or when
  // messages were lost (ENOBUFS): in both cases the state should be looked at again.
  Result<bool> drain();
  int fd() const { return fd_.get(); }

 private:
  explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)) {}
  Status send(nlmsghdr&, std::string_view doing);
  // Receives until the answer to `sequence` is complete.
  Status receive(std::uint32_t sequence, std::string_view doing, bool* interrupted,
                 const std::function<void(const nlmsghdr&)>& each);

  Fd fd_;
  std::uint32_t sequence_ = 0;
};

}  // namespace penstock::linux_net
