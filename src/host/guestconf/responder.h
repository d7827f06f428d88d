// Answers the guests of this host: what the switch hands over comes in, frames go out. Logic only.
//
// Threading: the strand's.
#pragma once

#include <functional>
#include <map>

#include "abi/events.h"
#include "base/log.h"
#include "base/runtime.h"
#include "host/guestconf/guest.h"

namespace penstock::host {

// Sends a frame to a guest: out of the port's device, marked PS_MARK_HOST.
// host/linux/frame_sender.h on a real kernel.
using SendFrame = std::function<Status(int ifindex, FrameView)>;

class Responder {
 public:
  Responder(Runtime&, Log&, SendFrame);
  ~Responder();

  // The guest behind a port, as it is now; `ifindex` of the port's device. Tells a new or changed
  // guest with IPv6 about its router at once and then at intervals. Lease and interval of `guest`
  // are set from the tunables.
  void put(Guest, int ifindex);
  void remove(PortId);
  // A frame that the switch handed over (ps_punt).
  void handed_over(const ps_punted&);

  struct Counters {
    std::uint64_t answered = 0, advertised = 0;
    std::uint64_t ignored = 0;  // malformed, for another server, needs no answer
    std::uint64_t unknown = 0;  // of a port that nobody put
    std::uint64_t failed = 0;   // not sent
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Entry {
    Guest guest;
    int ifindex = 0;
    TimerId timer{};
    bool armed = false;
  };
  void advertise(PortId);
  void send(const Entry&, FrameView, std::uint64_t& counter);
  void disarm(Entry&);

  Runtime& runtime_;
  Log& log_;
  SendFrame send_;
  std::map<PortId, Entry> guests_;
  Counters counters_;
};

}  // namespace penstock::host
