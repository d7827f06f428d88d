// A listener of its own for /metrics: whoever reaches it may read, so it is off unless asked for,
// and on loopback unless told otherwise.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/http/http_server.h"

namespace penstock {

class MetricsPage {
 public:
  MetricsPage(RealRuntime&, Log&, std::function<std::string()> text);

  // "ADDRESS:PORT" or "unix:PATH"; empty: does not listen.
  Status listen(const std::string& address, bool insecure);

 private:
  Log& log_;
  HttpServer server_;
};

}  // namespace penstock
