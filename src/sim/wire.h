// The network between one host and the server: streams that delay, never reorder, and break in
// every way a TCP connection can.
//
//   partition   nothing arrives until it heals; then it arrives, in order, unless somebody gave up
//   cut         the stream ends, both sides learn of it, what was on the way is lost
//   half-open   the stream ends, one side learns of it, the other has to notice the silence
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/sim_runtime.h"
#include "host/host_link.h"
#include "server/sessions.h"
#include "sim/defect.h"
#include "sim/trace.h"

namespace penstock::sim {

class Wire {
 public:
  // What the world knows that the wire does not.
  struct Hooks {
    std::function<HostSessions*()> server;  // nullptr: nobody listens
    std::function<std::string()> token;     // the host's
    std::function<void(const v1::HostMessage&)> host_sends;
    std::function<void(const v1::ServerMessage&)> server_sends;
  };
  Wire(SimClock&, Trace&, std::string host, Defect, Hooks);

  // One life of the agent has one link.
  std::unique_ptr<host::HostLink> link();

  void partition(bool on);
  void cut();
  void half_open();
  // Programs die; the kernel of a crashed program says so to the other side, that of a machine
  // without power does not.
  void host_died(bool told);
  void server_died(bool told);

  Duration delay_min{50'000}, delay_max{3'000'000};

 private:
  class Link;
  struct Stream;
  using StreamPtr = std::shared_ptr<Stream>;
  enum class End { kHost, kServer };

  void open(Link&, host::HostLink::Events);
  void send(const StreamPtr&, End to, Task deliver, bool last = false);
  void pump(const StreamPtr&, End to);
  void lose(const StreamPtr&, End which);  // this end is gone, without a word to it
  void tell(const StreamPtr&, End which, const char* why);
  void from_server(const StreamPtr&, v1::ServerMessage);
  Duration delay();

  SimClock& clock_;
  Trace& trace_;
  std::string host_;
  Defect defect_;
  Hooks hooks_;
  StreamPtr stream_;               // the newest
  std::vector<StreamPtr> served_;  // the server has a session for them
  bool partitioned_ = false;
  int next_stream_ = 1;
  Link* link_ = nullptr;
};

}  // namespace penstock::sim
