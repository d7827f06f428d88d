#include "host/guestconf/responder.h"

#include <optional>

#include "host/guestconf/dhcp4.h"
#include "host/guestconf/dhcp6.h"
#include "host/guestconf/router.h"

namespace penstock::host {

Responder::Responder(Runtime& runtime, Log& log, SendFrame send)
    : runtime_(runtime), log_(log), send_(std::move(send)) {}

Responder::~Responder() {
  for (auto& [port, entry] : guests_) disarm(entry);
}

void Responder::disarm(Entry& entry) {
  if (entry.armed) runtime_.cancel(entry.timer);
  entry.armed = false;
}

void Responder::put(Guest guest, int ifindex) {
  guest.lease = std::chrono::seconds(runtime_.tunables().guest_lease_s);
  guest.ra_interval = std::chrono::seconds(runtime_.tunables().guest_ra_interval_s);
  const auto port = guest.port;
  auto& entry = guests_[port];
  if (entry.ifindex == ifindex && entry.guest == guest) return;
  entry.guest = std::move(guest);
  entry.ifindex = ifindex;
  advertise(port);
}

void Responder::remove(PortId port) {
  const auto found = guests_.find(port);
  if (found == guests_.end()) return;
  disarm(found->second);
  guests_.erase(found);
}

void Responder::advertise(PortId port) {
  auto& entry = guests_.at(port);
  disarm(entry);
  const auto frame = router_advertisement(entry.guest);
  if (!frame) return;
  send(entry, *frame, counters_.advertised);
  entry.timer = runtime_.after(entry.guest.ra_interval, [this, port] {
    guests_.at(port).armed = false;
    advertise(port);
  });
  entry.armed = true;
}

void Responder::send(const Entry& entry, FrameView frame, std::uint64_t& counter) {
  if (const auto sent = send_(entry.ifindex, frame); sent) {
    ++counter;
  } else {
    ++counters_.failed;
    log_.debug("port {}: {}", entry.guest.port.value, sent.error().text());
  }
}

void Responder::handed_over(const ps_punted& punted) {
  const auto found = guests_.find(PortId{punted.port_id});
  if (found == guests_.end() || punted.length > sizeof punted.frame) {
    ++counters_.unknown;
    return;
  }
  const auto& entry = found->second;
  const auto frame = std::as_bytes(std::span(punted.frame)).first(punted.length);
  std::optional<Frame> answer;
  switch (punted.kind) {
    case PS_PUNT_DHCP4:
      answer = answer_dhcp4(entry.guest, frame);
      break;
    case PS_PUNT_DHCP6:
      answer = answer_dhcp6(entry.guest, frame);
      break;
    case PS_PUNT_ROUTER_SOLICITATION:
      if (is_router_solicitation(frame)) answer = router_advertisement(entry.guest);
      break;
    default:
      break;
  }
  if (!answer) {
    ++counters_.ignored;
    return;
  }
  send(entry, *answer, counters_.answered);
}

}  // namespace penstock::host
