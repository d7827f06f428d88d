// Sends whole frames out of devices, marked as the host's own, past neighbour and routing tables.
//
// Threading: the strand's. A frame is one system call.
#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"
#include "net/linux/fd.h"

namespace penstock::host {

class FrameSender {
 public:
  // In the network namespace of the calling thread. `mark` (SO_MARK) is on every frame: the
  // switch's egress program knows the host's own answers by it (abi/events.h).
  static Result<FrameSender> open(std::uint32_t mark);
  // kNotFound: no such device. kUnavailable: it is down, or its queue is full.
  Status send(int ifindex, std::span<const std::byte> frame);

 private:
  explicit FrameSender(linux_net::Fd socket) : socket_(std::move(socket)) {}
  linux_net::Fd socket_;
};

}  // namespace penstock::host
