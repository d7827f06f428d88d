// gRPC over the API: Resources, Catalog, Definitions, System, and the hosts' sessions.
//
// Threading: gRPC's own threads only parse and post; everything else happens on the strand. Errors
// travel as status and as v1.Failure in the binary trailer "penstock-failure-bin". The token comes
// in the metadata "authorization".
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/runtime.h"
#include "server/api.h"
#include "server/sessions.h"

namespace penstock {

class GrpcServer {
 public:
  GrpcServer(Runtime&, Log&, Api&, HostSessions&);
  ~GrpcServer();  // after stop() has called back, or if listen() failed

  // Port 0: any free one. kUnavailable: cannot be bound.
  Status listen(const std::string& address, std::uint16_t port);
  std::uint16_t port() const;
  // Answers what is open with kUnavailable, ends streams; then `done` on the strand. The strand
  // must go on running.
  void stop(Task done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace penstock
