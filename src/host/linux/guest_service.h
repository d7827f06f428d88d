// Answers guests' DHCP requests and router solicitations on a real kernel: the switch's ring buffer
// in, a packet socket out, host/guestconf in between.
//
// Threading: the strand's.
#pragma once

#include <memory>

#include "base/log.h"
#include "host/guestconf/responder.h"
#include "host/linux/frame_sender.h"
#include "host/linux/ring_reader.h"
#include "host/switch/switch.h"

namespace penstock {
class RealRuntime;
}

namespace penstock::host {

class GuestService {
 public:
  // All of them must outlive it.
  static Result<std::unique_ptr<GuestService>> open(RealRuntime&, Log&, Switch&);

  // A port is ready or changed, or gone: what Reconciler::PortObserver tells. Ports without DHCP
  // are not served.
  void ready(const v1::PortIntent&, const v1::NetworkIntent&, int ifindex);
  void gone(PortId port) { responder_.remove(port); }

  const Responder::Counters& counters() const { return responder_.counters(); }

 private:
  GuestService(RealRuntime&, Log&, FrameSender);

  Log& log_;
  FrameSender sender_;
  Responder responder_;
  std::unique_ptr<RingReader> punts_;
};

}  // namespace penstock::host
