#include "host/linux/guest_service.h"

#include "base/real_runtime.h"

namespace penstock::host {

GuestService::GuestService(RealRuntime& runtime, Log& log, FrameSender sender)
    : log_(log),
      sender_(std::move(sender)),
      responder_(runtime, log,
                 [this](int ifindex, FrameView frame) { return sender_.send(ifindex, frame); }) {}

Result<std::unique_ptr<GuestService>> GuestService::open(RealRuntime& runtime, Log& log,
                                                         Switch& programs) {
  auto sender = PENSTOCK_TRY(FrameSender::open(PS_MARK_HOST));
  std::unique_ptr<GuestService> service(new GuestService(runtime, log, std::move(sender)));
  auto* self = service.get();
  service->punts_ = std::make_unique<RingReader>(
      runtime, log, "guests' requests",
      PENSTOCK_TRY(programs.open_punts(
          [self](const ps_punted& punted) { self->responder_.handed_over(punted); })));
  return service;
}

void GuestService::ready(const v1::PortIntent& port, const v1::NetworkIntent& network,
                         int ifindex) {
  if (!port.dhcp()) return gone(PortId{port.id()});
  auto guest = guest_of(port, network);
  if (!guest) {
    log_.warning("port {} gets no answers to DHCP: {}", port.id(), guest.error().text());
    return gone(PortId{port.id()});
  }
  responder_.put(std::move(*guest), ifindex);
}

}  // namespace penstock::host
