// The arena: one mapped array of 64-byte lines that holds step lists and policy images
// (bpf/abi/policy.h, steps.h).
//
// Content-addressed: two holders of equal bytes share one place, so a thousand ports with the same
// services share one step list. A released place keeps its bytes until reclaim(), because a program
// may still be reading it; until then the same content gets its old place back without a write.
//
// Line 0 is never given out: in a port's policy word it means "no service". It holds the agent's
// own mark (AgentMark).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"
#include "host/kernel.h"

namespace penstock::host {

// What the agent must know of a kernel it finds after a restart and that no other place tells. The
// numbers only grow.
struct AgentMark {
  static constexpr std::uint32_t kMagic = 0x6b72614d;  // "Mark"
  std::uint32_t magic = 0;                             // kMagic once written
  std::uint32_t generation = 0;                        // the last one given to a port
  std::int64_t revision =
      0;  // of the newest intent that may have been applied; the file may be behind
  std::uint8_t incarnation[32] = {};  // SHA-256 of its name
  std::uint8_t reserved[16] = {};
};
static_assert(sizeof(AgentMark) == 64);

class Arena {
 public:
  static constexpr std::size_t kLineBytes = 64;

  // The kernel must outlive the arena. All of its memory counts as free until adopt().
  explicit Arena(Kernel&);

  // Puts the bytes (a multiple of a line) into the arena, or finds them there, and counts one more
  // holder. Gives the first line. kResourceExhausted when there is no room, also after reclaim():
  // `what` and the sizes are in the message.
  Result<std::uint32_t> hold(ByteView content, std::string_view what);
  // One holder more of a place that is known (held, released or adopted).
  void hold_again(std::uint32_t line);
  // One holder less. The bytes stay until reclaim().
  void release(std::uint32_t line);

  // Restart: `lines` from `line` on are in use by a port of the switch. Counts as released: whoever
  // wants the same content gets this place; reclaim() frees the rest. False when it is out of range
  // or overlaps another place.
  bool adopt(std::uint32_t line, std::uint32_t lines);

  // Waits until no program reads released places any more, then frees them.
  Status reclaim();

  AgentMark mark() const;
  void set_mark(const AgentMark&);

  std::uint32_t lines() const { return lines_; }
  std::uint32_t lines_held() const { return held_; }
  std::uint32_t lines_released() const { return released_; }
  ByteView bytes(std::uint32_t line, std::uint32_t lines) const;  // empty when out of range

 private:
  struct Place {
    std::uint32_t lines = 0;
    std::uint32_t holders = 0;
    Digest content;
  };
  std::uint32_t find_free(std::uint32_t lines) const;  // 0: none
  void take(std::uint32_t line, std::uint32_t lines);
  void give_back(std::uint32_t line, std::uint32_t lines);

  Kernel& kernel_;
  std::uint32_t lines_;
  std::span<std::byte> mark_;  // line 0
  std::uint32_t held_ = 0, released_ = 0;
  std::map<std::uint32_t, std::uint32_t> free_;  // first line -> lines; neighbours are merged
  std::map<std::uint32_t, Place> places_;        // by first line
  std::map<Digest, std::uint32_t> by_content_;
};

}  // namespace penstock::host
