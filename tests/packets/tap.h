// A TAP as a virtual machine holds it: frames with a virtio_net_hdr, offloads switched on as the
// guest negotiated them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "net/linux/fd.h"
#include "tests/packets/packet.h"

namespace penstock::packets {

// struct virtio_net_hdr: linux/virtio_net.h is no C++.
struct VirtioHeader {
  std::uint8_t flags = 0, gso_type = 0;
  std::uint16_t hdr_len = 0, gso_size = 0, csum_start = 0, csum_offset = 0;
};
inline constexpr std::uint8_t kNeedsChecksum = 1;
inline constexpr std::uint8_t kWhole = 0, kTcp4Segments = 1, kTcp6Segments = 4;  // gso_type

struct GuestFrame {
  VirtioHeader header;
  Frame frame;
};

// As a guest with TCP segmentation offload sends `frame`: one large segment that is to be cut into
// pieces of `segment` payload bytes; its checksum field holds only the pseudo header's sum.
GuestFrame to_be_segmented(Frame frame, std::uint16_t segment);
// The checksum of a TCP or UDP frame is left to the device.
GuestFrame to_be_summed(Frame frame);
// What a device would make of it: the transport checksum filled in when it was left open.
Frame summed(GuestFrame);

class Tap {
 public:
  // Makes the device, up. With `offloads` its reader takes large segments and open checksums.
  Tap(const std::string& name, bool offloads);
  void send(const GuestFrame&);
  void send(const Frame& frame) { send(GuestFrame{{}, frame}); }
  // The next frame for the guest, none within the time: nothing came.
  std::optional<GuestFrame> receive(int limit_ms = 1000);

 private:
  linux_net::Fd fd_;
};

// Large segments and open checksums at the far end of a veth: a packet socket with virtio headers.
class PacketSocket {
 public:
  // In the namespace of that name (ip netns), on its device.
  PacketSocket(const std::string& netns, const std::string& device);
  void send(const GuestFrame&);
  std::optional<GuestFrame> receive(int limit_ms = 1000);

 private:
  linux_net::Fd fd_;
};

}  // namespace penstock::packets
