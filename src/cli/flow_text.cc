#include "cli/flow_text.h"

#include <fmt/format.h>

namespace penstock::cli {
namespace {

std::string end_text(const Json& end) {
  auto who = text_at(at(end, "vm"));
  if (who.empty()) who = text_at(at(end, "address"));
  const auto port = number_at(at(end, "port"));
  if (port == 0) return who;
  return who.find(':') == std::string::npos ? fmt::format("{}:{}", who, port)
                                            : fmt::format("[{}]:{}", who, port);
}

}  // namespace

std::string protocol_text(const Json& flow) {
  const auto protocol = text_at(at(flow, "protocol"));
  if (protocol.starts_with("icmp"))
    return fmt::format("{} {}/{}", protocol, number_at(at(flow, "icmpType")),
                       number_at(at(flow, "icmpCode")));
  const auto flags = text_at(at(flow, "tcpFlags"));
  return flags.empty() ? protocol : protocol + " " + flags;
}

std::string ends_text(const Json& flow) {
  return end_text(at(flow, "source")) + " -> " + end_text(at(flow, "destination"));
}

std::string rule_text(const Json& flow) {
  const auto number = number_at(at(flow, "ruleNumber"));
  return number == 0 ? std::string("#default")
                     : fmt::format("#{} \"{}\"", number, text_at(at(flow, "rule")));
}

}  // namespace penstock::cli
