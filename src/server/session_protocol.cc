#include "server/session_protocol.h"

namespace penstock {

HelloVerdict judge_hello(const v1::Hello& hello, const v1::Position& server,
                         std::string_view digest_it_should_have) {
  const auto& host = hello.position();
  if (host.incarnation().empty()) return HelloVerdict::kFull;
  if (host.incarnation() != server.incarnation()) return HelloVerdict::kNewIncarnation;
  if (host.epoch() > server.epoch()) return HelloVerdict::kServerIsStale;
  // The store lost revisions this host has seen (a backup was put back). Whether that is meant,
  // only its administrator knows.
  if (host.revision() > server.revision()) return HelloVerdict::kStoreIsBehind;
  return hello.digest() == digest_it_should_have ? HelloVerdict::kPositionOnly
                                                 : HelloVerdict::kFull;
}

AckVerdict judge_ack(const v1::Position& ack, const v1::Position& server, std::int64_t last_sent,
                     std::int64_t last_acked) {
  if (ack.incarnation() != server.incarnation()) return AckVerdict::kForeign;
  if (ack.epoch() != server.epoch())
    return ack.epoch() < server.epoch() ? AckVerdict::kStale : AckVerdict::kForeign;
  if (ack.revision() > last_sent) return AckVerdict::kForeign;
  return ack.revision() < last_acked ? AckVerdict::kStale : AckVerdict::kTake;
}

}  // namespace penstock
