// What the kernel seam takes and gives when a packet is traced (bpf/abi/trace.h, bpf/lib/trace.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "abi/trace.h"
#include "base/error.h"
#include "net/address.h"

namespace penstock::host {

enum class Program;

// A frame that nobody sends, to be run through one program as if it came now.
struct TraceRun {
  Program program{};
  int ifindex = 0;  // the device it comes in on
  std::vector<std::byte> frame;
  struct Tunnel {
    Vni vni;
    IpAddress sender;
  };
  std::optional<Tunnel> tunnel;  // kFromOverlay: of the outer header
  // Flow entries that are taken for there: what an earlier run of the same trace has made.
  std::vector<std::byte> flows;
};

struct TraceRecord {
  ps_trace said{};
  std::vector<std::byte> frame;  // as the program left it: changed, or the answer made of it
  std::vector<std::byte> flows;  // those given, those looked at, those made
};

// Real packets of one conversation, either way.
struct TraceFilter {
  Vni vni;
  std::array<std::optional<IpAddress>, 2> address;  // of the two ends; nothing: any
  std::array<std::uint16_t, 2> port{};              // 0: any; ICMP: the identifier
  std::uint8_t protocol = 0;                        // 0: any
  Family family = Family::kV4;
  std::uint32_t most = 1;  // records
};

struct Attachment;

struct TraceWatch {
  TraceFilter filter;
  std::vector<Attachment> at;
  std::function<void(Result<void>)> begun;
  std::function<void(const ps_trace&)> seen;
};

}  // namespace penstock::host
