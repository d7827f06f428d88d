// The stream to the server, message by message. Real: gRPC (grpc/); simulated: a link that delays,
// reorders nothing and breaks.
//
// Threading: called on the strand; events come on the strand, never within a call.
#pragma once

#include <functional>

#include "base/error.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

class HostLink {
 public:
  virtual ~HostLink() = default;

  struct Events {
    std::function<void()> opened;                            // messages may be sent
    std::function<void(const v1::ServerMessage&)> received;  // in the order the server sent them
    std::function<void(Error)>
        closed;  // could not be opened, or is broken; the last event of this open()
  };
  // One stream at a time: not again before closed() has come or close() was called.
  virtual void open(Events) = 0;
  // In order; lost when the stream breaks.
  virtual void send(const v1::HostMessage&) = 0;
  // Ends the stream; no event of it comes any more.
  virtual void close() = 0;
};

}  // namespace penstock::host
