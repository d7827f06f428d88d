#include "base/http/metrics_page.h"

#include "base/http/listen_address.h"
#include "base/metrics_text.h"

namespace penstock {

MetricsPage::MetricsPage(RealRuntime& runtime, Log& log, std::function<std::string()> text)
    : log_(log),
      server_(
          runtime, log,
          [text = std::move(text)](const HttpRequest& request,
                                   const std::shared_ptr<HttpResponder>& responder) {
            if (request.target != "/metrics")
              return responder->reply(404, "text/plain", "there is /metrics\n");
            if (request.method != "GET" && request.method != "HEAD")
              return responder->reply(405, "text/plain", "GET /metrics\n");
            responder->reply(200, kMetricsType, text());
          },
          [](const Error& error) { return error.message + "\n"; }) {}

Status MetricsPage::listen(const std::string& address, bool insecure) {
  if (address.empty()) return {};
  const auto at = PENSTOCK_TRY(parse_listen_address(address, insecure));
  if (!at.path.empty()) {
    PENSTOCK_CHECK(server_.listen_unix(at.path));
    log_.info("metrics: {}", address);
    return {};
  }
  PENSTOCK_CHECK(server_.listen(at.host, at.port));
  log_.info("metrics: http://{}:{}/metrics",
            at.host.find(':') == std::string::npos ? at.host : "[" + at.host + "]", server_.port());
  return {};
}

}  // namespace penstock
