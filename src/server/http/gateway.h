// HTTP/JSON over the API: URLs and query parameters to requests, answers and errors to JSON. What
// the URLs are stands in api.proto; `/openapi.json` says it to programs.
#pragma once

#include <memory>
#include <string>

#include "base/http/http_server.h"
#include "base/log.h"
#include "server/api.h"
#include "server/http/url.h"

namespace penstock {

class Gateway {
 public:
  Gateway(Runtime& runtime, Api& api) : runtime_(runtime), api_(api) {}

  void handle(HttpRequest, std::shared_ptr<HttpResponder>);
  static std::string error_body(const Error&);

 private:
  struct Exchange;
  using ExchangePtr = std::shared_ptr<Exchange>;

  void route(ExchangePtr);
  void collection(ExchangePtr, const Kind&, const std::string& tenant);
  void object(ExchangePtr, const Kind&, const std::string& tenant, const std::string& name);
  bool special(const ExchangePtr&);
  void put(ExchangePtr, const Kind&, const std::string& tenant, const std::string& name,
           bool must_be_new);
  void patch(ExchangePtr, const Kind&, const std::string& tenant, const std::string& name);
  void watch(ExchangePtr, const Kind&, const std::string& tenant);

  Runtime& runtime_;
  Api& api_;
  std::string openapi_;  // made when first asked for
};

// "10s", "1.5s", "500ms", "2m", "1h".
Result<Duration> parse_duration(std::string_view);

}  // namespace penstock
