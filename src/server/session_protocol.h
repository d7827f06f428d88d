// Which side of a host session is ahead, and what may be believed: pure functions over
// {incarnation, revision, epoch}. The same questions are asked on every message, so that an old
// leader, a restored store or a delayed packet can never make the server believe, or a host hold,
// something that is not so.
#pragma once

#include <cstdint>
#include <string_view>

#include "penstock/v1/host.pb.h"

namespace penstock {

// How to bring a host that says hello to the present.
enum class HelloVerdict {
  kPositionOnly,    // it holds exactly what it should: nothing is sent but where history stands now
  kFull,            // its intent is absent or differs
  kNewIncarnation,  // it knew another store, or an earlier life of this one: FULL, marked as new
  kStoreIsBehind,   // it knows a later state of this very life: the store lost something. It is
                    // left alone until the store begins a new life (penstockd --restored)
  kServerIsStale,   // it has served a later leader: this server must not touch it
};
HelloVerdict judge_hello(const v1::Hello&, const v1::Position& server,
                         std::string_view digest_it_should_have);

// Whether an ack may change what the server believes.
enum class AckVerdict {
  kTake,
  kStale,    // older than what this host has acknowledged before, or of another leader: no effect
  kForeign,  // of another store, or of a revision never sent to it: the session ends
};
AckVerdict judge_ack(const v1::Position& ack, const v1::Position& server, std::int64_t last_sent,
                     std::int64_t last_acked);

}  // namespace penstock
