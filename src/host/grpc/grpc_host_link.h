// The stream to the server over gRPC (host.proto). gRPC's threads only post; everything else
// happens on the strand.
#pragma once

#include <memory>
#include <string>

#include "base/runtime.h"
#include "host/host_link.h"

namespace penstock::host {

class GrpcHostLink final : public HostLink {
 public:
  // `server` is HOST:PORT. The token goes with every stream; transport is not encrypted yet.
  GrpcHostLink(Runtime&, std::string server, std::string token);
  // Waits until gRPC has let go of the last stream.
  ~GrpcHostLink() override;

  void open(Events) override;
  void send(const v1::HostMessage&) override;
  void close() override;

 private:
  class Stream;
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Stream> stream_;
};

}  // namespace penstock::host
