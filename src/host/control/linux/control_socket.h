// A unix socket for questions to a running agent: one JSON object a line in, one a line out.
// Readable by root only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/log.h"

namespace penstock {
class RealRuntime;
}

namespace penstock::host {

class ControlSocket {
 public:
  // The answer to one request line, without a line end.
  using Answer = std::function<std::string(std::string_view request)>;

  // Replaces a socket that a dead agent left at `path`. kAlreadyExists: a living one answers there.
  static Result<std::unique_ptr<ControlSocket>> listen(RealRuntime&, Log&, const std::string& path,
                                                       Answer);
  ~ControlSocket();

 private:
  struct Impl;
  explicit ControlSocket(std::shared_ptr<Impl>);
  std::shared_ptr<Impl> impl_;
};

}  // namespace penstock::host
