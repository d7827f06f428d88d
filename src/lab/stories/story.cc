#include "lab/stories/story.h"

#include <filesystem>
#include <thread>

#include <fmt/format.h>

namespace penstock::lab {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using cli::at;
using cli::text_at;

void Teller::say(const std::string& text) {
  console_.line(fmt::format("\n{:5.1f} s  {}", seconds(), text));
}

void Teller::detail(const std::string& text) {
  console_.line("          " + text);
}

void Teller::check(bool good, const std::string& what) {
  ++checks_;
  if (!good) failures_.push_back(what);
  console_.line(fmt::format(
      "  {}  {}",
      good ? console_.paint(cli::Tone::kGood, "ok    ") : console_.paint(cli::Tone::kBad, "FAILED"),
      what));
}

double Teller::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

cli::Exit Teller::verdict() {
  const bool good = failures_.empty();
  console_.line("");
  console_.line(
      good ? console_.paint(cli::Tone::kGood, fmt::format("demo passed: {} checks", checks_))
           : console_.paint(cli::Tone::kBad, fmt::format("demo FAILED: {} of {} checks",
                                                         failures_.size(), checks_)));
  for (const auto& failure : failures_) console_.line("  " + failure);
  return good ? cli::Exit::kDone : cli::Exit::kNo;
}

Status Stage::up(Topology topology) {
  topology.name = options.lab;
  lab_ = PENSTOCK_TRY(Lab::up(topology, [&](const std::string& stage, bool done) {
    if (done) {
      teller.detail(stage);
    } else {
      teller.console().progress(stage + " ...");
    }
  }));
  return {};
}

Status Stage::up_file(const std::string& path) {
  return up(PENSTOCK_TRY(read_topology(path)));
}

Status Stage::up_text(const std::string& text) {
  return up(PENSTOCK_TRY(parse_topology(text, "topology of the demo", "")));
}

Output Stage::run(const std::string& node, const std::string& command, int limit_ms) {
  auto spec = lab_->enter(node);
  if (!spec) return {127, spec.error().text()};
  spec->words = {"/bin/sh", "-c", command};
  const auto output = capture_in(*spec, limit_ms);
  return output ? *output : Output{127, output.error().text()};
}

bool Stage::pings(const std::string& node, const std::string& address) {
  return run(node, "ping -c 1 -W 1 " + address, 3'000).status == 0;
}

Status Stage::start(const std::string& name, const std::string& node, const std::string& command) {
  auto spec = PENSTOCK_TRY(lab_->enter(node));
  spec.words = {"/bin/sh", "-c", command};
  spec.log = lab_->folder().path("logs/" + name);
  std::error_code none;
  fs::remove(spec.log, none);
  PENSTOCK_CHECK(start_daemon(lab_->folder(), name, spec));
  return {};
}

std::string Stage::said(const std::string& name) {
  return lab_->folder().read("logs/" + name).value_or("");
}

bool Stage::soon(const std::function<bool()>& holds, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (!holds()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

std::string Stage::address(const std::string& vm, Family family) {
  const auto found = lab_->address_of(vm, family);
  return found ? found->text() : "";
}

Status Stage::put(cli::Api& api, Json object) {
  const auto answer = PENSTOCK_TRY(
      api.batch(Json::array({{{"put", std::move(object)}}}), true, {false, true, 10s}));
  const auto& item = at(answer, "items")[0];
  if (!text_at(at(item, "error", "code")).empty())
    return std::unexpected(cli::failure_of(at(item, "error")));
  return {};
}

std::string shipped(const std::string& below) {
  auto folder = fs::read_symlink("/proc/self/exe").parent_path();
  for (int level = 0; level < 3; ++level, folder = folder.parent_path())
    if (fs::exists(folder / below)) return (folder / below).string();
  return below;
}

}  // namespace penstock::lab
