// What is bad about a link, in each of its two directions: loss, duplication, delay, jitter,
// reordering, rate. The same words in a topology, on the command line and in what is shown.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/json.h"

namespace penstock::lab {

// Parts per million, so that equal settings are equal.
struct Share {
  std::uint32_t ppm = 0;
  auto operator<=>(const Share&) const = default;

  static Result<Share> parse(std::string_view);  // "1%", "0.05%", "0"
  std::string text() const;                      // "1%"
};

struct Impairment {
  Share loss{};                         // frames that vanish
  Share duplicate{};                    // frames that arrive twice
  Share reorder{};                      // frames that a few later ones overtake
  std::chrono::microseconds delay{0};   // of every frame
  std::chrono::microseconds jitter{0};  // the delay varies by so much to both sides, evenly; frames
                                        // stay in order
  std::uint64_t rate_bit_s = 0;         // 0: as fast as it goes
  std::uint64_t seed = 0;               // chance is a function of it and the frame's number
  auto operator<=>(const Impairment&) const = default;

  // Delay, jitter, reordering and rate hold frames back; loss and duplication do not.
  bool needs_time() const {
    return reorder.ppm != 0 || delay.count() != 0 || jitter.count() != 0 || rate_bit_s != 0;
  }
  bool any() const { return loss.ppm != 0 || duplicate.ppm != 0 || needs_time(); }
  std::string text() const;  // "loss 1%, delay 20ms"; "none"
};

// Seen from the node: `in` is towards it.
struct Impairments {
  Impairment in{}, out{};
  bool operator==(const Impairments&) const = default;

  bool any() const { return in.any() || out.any(); }
  bool needs_time() const { return in.needs_time() || out.needs_time(); }
  std::string text() const;  // one text when both are the same, else "in: ...; out: ..."
  cli::Json json() const;
  static Impairments from_json(const cli::Json&);
};

// One line per thing that can be set: its word, and what it means.
struct ImpairmentField {
  const char* word;     // "loss": `--loss` and the topology's key
  const char* example;  // "1%"
  const char* meaning;
};
std::span<const ImpairmentField> impairment_fields();
// Sets one of them from its text.
Status set_impairment(Impairment&, std::string_view word, std::string_view text);
// What cannot be together.
Status check_impairment(const Impairment&);

Result<std::uint64_t> parse_rate(std::string_view);  // "10mbit", "500kbit", "1gbit"; 0: none
Result<std::chrono::microseconds> parse_delay(std::string_view);  // "20ms", "150us", "1s", "0"

}  // namespace penstock::lab
