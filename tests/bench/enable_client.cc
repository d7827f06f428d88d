// How long until an enablement is in force, one VM after the other: a client that keeps its
// connection to the server, and a stream of packets at the VM's port that the profile must stop.
//
// Each round: packets flow; enable with wait=applied; the answer comes; the first packet that no
// longer arrives is found by its number; disable. In force is the enablement when both have
// happened: the answer has come, and a packet was dropped. Prints one JSON object with a list for
// each of the three, in ms from the call: "answer_ms", "first_drop_ms" (of the first lost packet:
// when it was sent, so it is late by at most one gap between packets) and "in_force_ms" (the later
// of the two).
#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/probe.h"
#include "cli/http/client.h"

namespace {

using namespace penstock;
using namespace std::chrono_literals;
using bench::Clock;
using Json = nlohmann::json;

constexpr std::uint16_t kPort = 5789;
constexpr std::size_t kSurelyGone = 5;  // this many in a row that did not arrive are no accident
constexpr auto kInFlight = 3ms;         // no packet is under way for longer
constexpr auto kPatience = 2s;

struct Options {
  std::string server, token_file, tenant, profile, sender, targets;
  int rounds = 200, rate = 10'000;
};

struct Target {
  std::string vm, address;
  linux_net::Fd socket;
};

struct Round {
  double answer_ms, first_drop_ms;
};

double ms_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

Result<std::vector<Target>> read_targets(const std::string& path) {
  std::ifstream file(path);
  std::vector<Target> targets;
  for (std::string vm, address, space; file >> vm >> address >> space;)
    targets.push_back({vm, address, PENSTOCK_TRY(bench::udp_socket_in(space, kPort))});
  if (targets.empty()) return fail(Code::kInvalidArgument, path + " names no VM");
  return targets;
}

Status switch_service(cli::HttpClient& server, const Options& options, const std::string& verb,
                      const std::string& vm) {
  const auto answer = PENSTOCK_TRY(server.call(
      {"POST", fmt::format("/v1/tenants/{}:{}?wait=applied&deadline=2s", options.tenant, verb),
       Json{{"profile", options.profile}, {"vm", vm}}.dump()},
      2 * kPatience));
  if (answer.status != 200)
    return fail(Code::kInternal, fmt::format("{} on {}: {}", verb, vm, answer.body));
  const auto said = Json::parse(answer.body, nullptr, false);
  if (!said.is_object() || !said.contains("outcome") ||
      said["outcome"].value("deadlinePassed", false))
    return fail(Code::kDeadlineExceeded,
                fmt::format("{} on {} was not applied: {}", verb, vm, answer.body));
  return {};
}

// Until `done` says so of the stream, or it takes too long.
template <typename Done>
Status wait_until(bench::Stream& stream, const std::string& what, Done done) {
  const auto end = Clock::now() + kPatience;
  do {
    std::this_thread::sleep_for(500us);
    stream.drain();
    if (done()) return {};
  } while (Clock::now() < end);
  return fail(Code::kDeadlineExceeded, what);
}

Result<Round> play(cli::HttpClient& server, const Options& options, int sender,
                   const Target& target) {
  bench::Stream stream(sender, target.socket.get(), target.address, kPort, options.rate);
  PENSTOCK_CHECK(wait_until(stream, "no packet arrives at " + target.vm,
                            [&] { return stream.last_arrived() >= kSurelyGone; }));
  const auto called = Clock::now();
  PENSTOCK_CHECK(switch_service(server, options, "enable", target.vm));
  const auto answered = Clock::now();
  PENSTOCK_CHECK(wait_until(
      stream, fmt::format("packets to {} still arrive after the enablement", target.vm), [&] {
        return stream.sent() >= stream.last_arrived() + kSurelyGone &&
               Clock::now() - stream.sent_at(stream.last_arrived() + 1) > kInFlight;
      }));
  stream.stop();
  stream.drain();
  if (stream.last_arrived() >= stream.sent())
    return fail(Code::kInternal, "packets were under way for longer than this program believes");
  const auto dropped = stream.sent_at(stream.last_arrived() + 1);
  PENSTOCK_CHECK(switch_service(server, options, "disable", target.vm));
  return Round{ms_between(called, answered), ms_between(called, dropped)};
}

Result<Json> measure(const Options& options) {
  auto targets = PENSTOCK_TRY(read_targets(options.targets));
  const auto sender = PENSTOCK_TRY(bench::udp_socket_in(options.sender, 0));
  std::ifstream token_file(options.token_file);
  std::string token;
  token_file >> token;
  cli::HttpClient server(PENSTOCK_TRY(cli::parse_server(options.server)), token);
  Json answer_ms = Json::array(), first_drop_ms = Json::array(), in_force_ms = Json::array();
  for (int i = 0; i < options.rounds; ++i) {
    const auto& target = targets[static_cast<std::size_t>(i) % targets.size()];
    const auto round = PENSTOCK_TRY(play(server, options, sender.get(), target));
    answer_ms.push_back(round.answer_ms);
    first_drop_ms.push_back(round.first_drop_ms);
    in_force_ms.push_back(std::max(round.answer_ms, round.first_drop_ms));
  }
  return Json{{"answer_ms", std::move(answer_ms)},
              {"first_drop_ms", std::move(first_drop_ms)},
              {"in_force_ms", std::move(in_force_ms)}};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures how long until an enablement is in force");
  app.add_option("--server", options.server, "unix:PATH or http://HOST:PORT")->required();
  app.add_option("--token-file", options.token_file, "file with the token to use")->required();
  app.add_option("--tenant", options.tenant, "of the VMs")->required();
  app.add_option("--profile", options.profile, "published; must drop UDP to the VM")->required();
  app.add_option("--sender", options.sender, "network namespace of the sending VM")->required();
  app.add_option("--targets", options.targets, "file of lines: VM, IPv4 address, namespace")
      ->required();
  app.add_option("--rounds", options.rounds, "enable/disable rounds")->capture_default_str();
  app.add_option("--rate", options.rate, "packets a second")
      ->check(CLI::Range(100, 1'000'000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const auto measured = measure(options);
  if (!measured) {
    fmt::print(stderr, "penstock-enable-client: {}\n", measured.error().text());
    return exit_code(measured.error().code);
  }
  fmt::print("{}\n", measured->dump());
  return 0;
}
