// A bad link between hosts, made and mended while packets flow.
#include <cmath>
#include <regex>

#include <fmt/format.h>

#include "lab/stories/story.h"

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;

struct Measured {
  int sent = 0, received = 0, duplicates = 0;
  double median_ms = 0;
  double loss() const { return sent == 0 ? 1 : 1.0 - static_cast<double>(received) / sent; }
};

// Pings count times a second 200 and reads ping's own lines.
Measured measure(Stage& stage, const std::string& from, const std::string& to, int count) {
  const auto output =
      stage.run(from, fmt::format("ping -i 0.005 -c {} -W 1 {}", count, to), count * 5 * 4 + 10'000)
          .text;
  Measured measured;
  std::smatch match;
  static const std::regex kCounts(
      "([0-9]+) packets transmitted, ([0-9]+) received(, \\+([0-9]+) duplicates)?");
  if (std::regex_search(output, match, kCounts)) {
    measured.sent = std::stoi(match[1]);
    measured.received = std::stoi(match[2]);
    if (match[4].matched) measured.duplicates = std::stoi(match[4]);
  }
  std::vector<double> times;
  static const std::regex kTime("time=([0-9.]+) ms");
  for (std::sregex_iterator it(output.begin(), output.end(), kTime), end; it != end; ++it)
    times.push_back(std::stod((*it)[1]));
  if (!times.empty()) {
    std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
    measured.median_ms = times[times.size() / 2];
  }
  return measured;
}

}  // namespace

Status tell_lossy_link(Stage& stage) {
  auto& teller = stage.teller;
  constexpr int kPings = 600;
  teller.say("Two hosts in two physical networks; web on h1, far on h2");
  PENSTOCK_CHECK(stage.up_file(shipped("examples/figure1.yaml")));
  const auto links = stage.lab().links();
  const auto web = stage.address("acme/web");
  stage.pings("acme/far", web);
  const auto show = [&](const Measured& measured) {
    teller.detail(fmt::format("{} sent, {:.1f}% lost, {} twice, median {:.2f} ms", measured.sent,
                              100 * measured.loss(), measured.duplicates, measured.median_ms));
  };

  teller.say("As it is");
  const auto good = measure(stage, "acme/far", web, kPings);
  show(good);
  teller.check(good.received == kPings, "no ping is lost");

  teller.say("penstock lab link set h1-rack-a --delay 10ms       (in each direction)");
  Impairment slow{.delay = 10ms};
  PENSTOCK_CHECK(links.set({{"h1-rack-a", {slow, slow}}}, false));
  const auto late = measure(stage, "acme/far", web, kPings);
  show(late);
  teller.check(late.median_ms - good.median_ms > 19.9 && late.median_ms - good.median_ms < 24,
               "the round trip is 20 ms longer");
  teller.check(late.received == kPings, "and nothing is lost");
  const auto near = measure(stage, "acme/near", web, 100);
  teller.check(near.received == 100 && near.median_ms < 5,
               "VMs of one host do not notice: their packets do not leave it");

  teller.say("penstock lab link set h1-rack-a --loss 10% --duplicate 5% --seed 7");
  Impairment bad{.loss = Share{100'000}, .duplicate = Share{50'000}, .delay = 10ms, .seed = 7};
  PENSTOCK_CHECK(links.set({{"h1-rack-a", {bad, bad}}}, true));
  const auto lossy = measure(stage, "acme/far", web, kPings);
  show(lossy);
  // Request and answer both have to come through: 19%, with a deviation of 1.6%.
  teller.check(std::abs(lossy.loss() - 0.19) < 0.06, "two losses of 10% make 19%");
  teller.check(lossy.duplicates > 20, "some answers come twice");
  for (const auto& state : PENSTOCK_TRY(links.list()))
    if (state.link == "h1-rack-a")
      teller.detail(fmt::format("the link says: {} of {} frames lost towards h1, {} of {} from it",
                                state.counts[LINK_IN].lost, state.counts[LINK_IN].frames,
                                state.counts[LINK_OUT].lost, state.counts[LINK_OUT].frames));

  teller.say("penstock lab link clear h1-rack-a");
  PENSTOCK_CHECK(links.set({{"h1-rack-a", {}}}, false));
  const auto mended = measure(stage, "acme/far", web, kPings);
  show(mended);
  teller.check(
      mended.received == kPings && mended.duplicates == 0 && mended.median_ms < good.median_ms + 5,
      "as good as before");
  return {};
}

}  // namespace penstock::lab
