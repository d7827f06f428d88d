#include "lab/links/impairment.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace penstock::lab {
namespace {

using cli::Json;
using std::chrono::microseconds;

constexpr microseconds kLongestDelay = std::chrono::seconds(10);
constexpr std::uint64_t kFastest = 100'000'000'000;
constexpr std::uint64_t kSlowest = 1'000;

constexpr std::array kFields{
    ImpairmentField{"loss", "1%", "share of frames that vanish"},
    ImpairmentField{"duplicate", "0.1%", "share of frames that arrive twice"},
    ImpairmentField{"reorder", "1%", "share of frames that the next three overtake"},
    ImpairmentField{"delay", "20ms", "of every frame, in each direction"},
    ImpairmentField{"jitter", "2ms", "how far the delay strays to both sides; the order stays"},
    ImpairmentField{"rate", "10mbit",
                    "what the link carries; a queue of 100 ms, then frames are lost"},
    ImpairmentField{"seed", "7", "equal seeds: the n-th frame meets the same fate"},
};

struct Unit {
  std::string_view word;
  double factor;
};

// A number and one of the units; 0 needs none.
Result<double> measured(std::string_view text, std::span<const Unit> units, const char* what,
                        const char* hint) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error == std::errc{} && std::isfinite(value) && value >= 0) {
    if (value == 0 && rest.empty()) return 0.0;
    const auto unit = std::ranges::find(units, rest, &Unit::word);
    if (unit != units.end()) return value * unit->factor;
  }
  return fail(Code::kInvalidArgument, fmt::format("\"{}\" is not {}", text, what), hint);
}

// In the largest unit that loses nothing.
std::string delay_text(microseconds delay) {
  const double us = static_cast<double>(delay.count());
  for (const auto& [word, factor] : {Unit{"s", 1e6}, Unit{"ms", 1e3}}) {
    auto text = fmt::format("{:g}{}", us / factor, word);
    if (us >= factor && parse_delay(text) == delay) return text;
  }
  return fmt::format("{}us", delay.count());
}

std::string rate_text(std::uint64_t rate) {
  const double bits = static_cast<double>(rate);
  for (const auto& [word, factor] : {Unit{"gbit", 1e9}, Unit{"mbit", 1e6}, Unit{"kbit", 1e3}}) {
    auto text = fmt::format("{:g}{}", bits / factor, word);
    if (bits >= factor && parse_rate(text) == rate) return text;
  }
  return fmt::format("{}bit", rate);
}

Json way_json(const Impairment& way) {
  Json json = Json::object();
  if (way.loss.ppm) json["loss"] = way.loss.text();
  if (way.duplicate.ppm) json["duplicate"] = way.duplicate.text();
  if (way.reorder.ppm) json["reorder"] = way.reorder.text();
  if (way.delay.count()) json["delay"] = delay_text(way.delay);
  if (way.jitter.count()) json["jitter"] = delay_text(way.jitter);
  if (way.rate_bit_s) json["rate"] = rate_text(way.rate_bit_s);
  if (way.seed) json["seed"] = std::to_string(way.seed);
  return json;
}

Impairment way_from_json(const Json& json) {
  Impairment way;
  for (const auto& field : kFields)
    if (const auto text = cli::text_at(cli::at(json, field.word)); !text.empty())
      (void)set_impairment(way, field.word, text);  // written by way_json
  return way;
}

}  // namespace

Result<Share> Share::parse(std::string_view text) {
  static constexpr std::array kUnits{Unit{"%", 1e4}};
  const double ppm =
      PENSTOCK_TRY(measured(text, kUnits, "a share", "write 1% or 0.05%, at most 100%"));
  if (ppm > 1e6)
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" is more than all", text),
                "at most 100%");
  if (ppm > 0 && ppm < 1)
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" is too small a share", text),
                "0.0001% is the least");
  return Share{static_cast<std::uint32_t>(std::lround(ppm))};
}

std::string Share::text() const {
  return fmt::format("{:g}%", ppm / 1e4);
}

Result<std::uint64_t> parse_rate(std::string_view text) {
  static constexpr std::array kUnits{Unit{"bit", 1}, Unit{"kbit", 1e3}, Unit{"mbit", 1e6},
                                     Unit{"gbit", 1e9}};
  const double rate = PENSTOCK_TRY(
      measured(text, kUnits, "a rate", "write 500kbit, 10mbit or 1gbit (bits a second)"));
  if (rate != 0 && (rate < kSlowest || rate > kFastest))
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" is not a rate of a link here", text),
                "1kbit to 100gbit");
  return static_cast<std::uint64_t>(std::llround(rate));
}

Result<microseconds> parse_delay(std::string_view text) {
  static constexpr std::array kUnits{Unit{"us", 1}, Unit{"ms", 1e3}, Unit{"s", 1e6}};
  const double us =
      PENSTOCK_TRY(measured(text, kUnits, "a delay", "write 150us, 20ms or 1s, at most 10s"));
  if (us > static_cast<double>(kLongestDelay.count()))
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" is too long a delay", text),
                "at most 10s");
  return microseconds(std::llround(us));
}

std::span<const ImpairmentField> impairment_fields() {
  return kFields;
}

Status set_impairment(Impairment& way, std::string_view word, std::string_view text) {
  if (word == "loss") {
    way.loss = PENSTOCK_TRY(Share::parse(text));
  } else if (word == "duplicate") {
    way.duplicate = PENSTOCK_TRY(Share::parse(text));
  } else if (word == "reorder") {
    way.reorder = PENSTOCK_TRY(Share::parse(text));
  } else if (word == "delay") {
    way.delay = PENSTOCK_TRY(parse_delay(text));
  } else if (word == "jitter") {
    way.jitter = PENSTOCK_TRY(parse_delay(text));
  } else if (word == "rate") {
    way.rate_bit_s = PENSTOCK_TRY(parse_rate(text));
  } else if (word == "seed") {
    std::uint64_t seed = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (error != std::errc{} || end != text.data() + text.size())
      return fail(Code::kInvalidArgument, fmt::format("\"{}\" is not a seed", text),
                  "a whole number");
    way.seed = seed;
  } else {
    return fail(Code::kInternal, fmt::format("a link has no {}", word));
  }
  return {};
}

Status check_impairment(const Impairment& way) {
  if (way.jitter > way.delay)
    return fail(Code::kInvalidArgument,
                fmt::format("a jitter of {} is more than the delay of {}", delay_text(way.jitter),
                            delay_text(way.delay)),
                "the delay strays by the jitter to both sides: make it the larger of the two");
  return {};
}

std::string Impairment::text() const {
  std::string out;
  const auto add = [&](std::string_view word, const std::string& value) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", word, value);
  };
  if (loss.ppm) add("loss", loss.text());
  if (duplicate.ppm) add("duplicate", duplicate.text());
  if (reorder.ppm) add("reorder", reorder.text());
  if (delay.count())
    add("delay", delay_text(delay) + (jitter.count() ? " ± " + delay_text(jitter) : ""));
  if (rate_bit_s) add("rate", rate_text(rate_bit_s));
  return out.empty() ? "none" : out;
}

std::string Impairments::text() const {
  const auto one = in.text(), other = out.text();
  return one == other ? one : fmt::format("in: {}; out: {}", one, other);
}

Json Impairments::json() const {
  return {{"in", way_json(in)}, {"out", way_json(out)}};
}

Impairments Impairments::from_json(const Json& json) {
  return {way_from_json(cli::at(json, "in")), way_from_json(cli::at(json, "out"))};
}

}  // namespace penstock::lab
