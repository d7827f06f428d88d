#include "lab/scenario/runner.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include <fmt/format.h>

#include "lab/lab.h"

namespace penstock::lab {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kCommandLimit{60'000};
constexpr milliseconds kBetweenTries{100};

// What a step made wrong; no value: nothing.
struct Wrong {
  int line = 0;
  std::string failure, output;
};
using Outcome = std::optional<Wrong>;

class Runner {
 public:
  Runner(const Scenario& scenario, const RunOptions& options, const Lab& lab)
      : scenario_(scenario), options_(options), lab_(lab) {}

  Outcome run() { return all(scenario_.steps); }
  std::size_t expectations() const { return expectations_; }

 private:
  Outcome all(const std::vector<Step>& steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (!quiet_) options_.progress(steps[i].text);
      if (auto wrong = one(steps[i])) return wrong;
      // Silence about the exit status means that the command has to succeed.
      if (is_command(steps[i]) && !says_exit(steps, i + 1) && output_.status != 0)
        return Wrong{steps[i].line, fmt::format("{}: exit {}", steps[i].text, output_.status),
                     output_.text};
    }
    return {};
  }

  static bool is_command(const Step& step) {
    return step.kind == Step::Kind::kExec || step.kind == Step::Kind::kRun;
  }
  static bool says_exit(const std::vector<Step>& steps, std::size_t from) {
    for (; from < steps.size() && steps[from].kind == Step::Kind::kExpect; ++from)
      if (std::holds_alternative<ExpectExit>(*steps[from].expectation)) return true;
    return false;
  }

  Outcome one(const Step& step) {
    switch (step.kind) {
      case Step::Kind::kEventually:
        return eventually(step);
      case Step::Kind::kSleep:
        std::this_thread::sleep_for(step.time);
        return {};
      case Step::Kind::kExpect: {
        ++expectations_;
        const auto why = unmet(*step.expectation, output_);
        if (why.empty()) return {};
        return Wrong{step.line, fmt::format("{}: {}", step.text, why), output_.text};
      }
      default:
        break;
    }
    if (const auto done = act(step); !done)
      return Wrong{step.line, fmt::format("{}: {}", step.text, done.error().text()), {}};
    return {};
  }

  Outcome eventually(const Step& step) {
    const auto end = Clock::now() + step.time;
    const auto before = expectations_;
    quiet_ = true;
    while (true) {
      expectations_ = before;
      auto wrong = all(step.inside);
      const bool late = Clock::now() >= end;
      if (!wrong || late) quiet_ = false;
      if (!wrong) return {};
      if (late) {
        wrong->failure += fmt::format(" (for {} ms)", step.time.count());
        return wrong;
      }
      std::this_thread::sleep_for(kBetweenTries);
    }
  }

  Status act(const Step& step) {
    switch (step.kind) {
      case Step::Kind::kExec:
      case Step::Kind::kStart: {
        auto spec = PENSTOCK_TRY(lab_.enter(step.node));
        spec.words = {"/bin/sh", "-c", PENSTOCK_TRY(filled(step.command))};
        if (step.kind == Step::Kind::kExec) return capture(spec);
        const auto name = fmt::format("started-{}", ++started_);
        spec.log = lab_.folder().path("logs/" + name);
        PENSTOCK_TRY(start_daemon(lab_.folder(), name, spec));
        return {};
      }
      case Step::Kind::kRun: {
        ProcessSpec spec;
        spec.words = {"/bin/sh", "-c", PENSTOCK_TRY(filled(step.command))};
        spec.folder = scenario_.folder;
        spec.environment = {
            "PENSTOCK_LAB=" + lab_.folder().lab(), "PENSTOCK_SERVER=" + lab_.folder().server_url(),
            "PENSTOCK_TOKEN=" + PENSTOCK_TRY(token(step.user)),
            fmt::format(
                "PATH={}:{}",
                std::filesystem::path(program_path("", "penstock")).parent_path().string(),
                std::getenv("PATH") ? std::getenv("PATH") : "/usr/sbin:/usr/bin:/sbin:/bin")};
        return capture(spec);
      }
      case Step::Kind::kStop:
        return step.node == kServerNode ? lab_.stop_server(step.at_once) : stop_host(step);
      case Step::Kind::kRestart:
        return lab_.restart(step.node, step.at_once);
      default:
        return {};
    }
  }

  Status stop_host(const Step& step) {
    const auto known = lab_.hosts();
    if (std::ranges::find(known, step.node) == known.end())
      return fail(Code::kNotFound, fmt::format("there is no host {}", step.node));
    return lab_.stop_host(step.node, step.at_once);
  }

  Status capture(const ProcessSpec& spec) {
    output_ = PENSTOCK_TRY(capture_in(spec, static_cast<int>(kCommandLimit.count())));
    return {};
  }

  Result<std::string> token(const std::string& user) {
    auto& known = tokens_[user];
    if (!known.empty()) return known;
    if (!user.empty()) return known = PENSTOCK_TRY(lab_.token_of(user));
    known = PENSTOCK_TRY(lab_.folder().read("server/admin.token"));
    while (known.ends_with('\n')) known.pop_back();
    return known;
  }

  // {lab}, {tmp}, {ip NODE}, {ip6 NODE}; any other braces are the command's own.
  Result<std::string> filled(const std::string& command) const {
    std::string out;
    for (std::size_t i = 0; i < command.size();) {
      const auto end = command.find('}', i);
      if (command[i] != '{' || end == std::string::npos) {
        out += command[i++];
        continue;
      }
      const auto inside = command.substr(i + 1, end - i - 1);
      if (inside == "lab") {
        out += lab_.folder().lab();
      } else if (inside == "tmp") {
        out += lab_.folder().path("tmp");
      } else if (inside.starts_with("ip ")) {
        out += PENSTOCK_TRY(lab_.address_of(inside.substr(3), Family::kV4)).text();
      } else if (inside.starts_with("ip6 ")) {
        out += PENSTOCK_TRY(lab_.address_of(inside.substr(4), Family::kV6)).text();
      } else {
        out += command[i++];
        continue;
      }
      i = end + 1;
    }
    return out;
  }

  const Scenario& scenario_;
  const RunOptions& options_;
  const Lab& lab_;
  Output output_;
  std::map<std::string, std::string> tokens_;
  std::size_t expectations_ = 0;
  int started_ = 0;
  bool quiet_ = false;
};

}  // namespace

std::string lab_name(const std::string& file, int pid) {
  auto stem = std::filesystem::path(file).stem().string();
  std::ranges::transform(stem, stem.begin(), [](unsigned char c) {
    return std::isalnum(c) ? static_cast<char>(std::tolower(c)) : '-';
  });
  return fmt::format("test-{}-{}", stem.substr(0, 18), pid);
}

Verdict run_scenario(const Scenario& scenario, const RunOptions& options) {
  const auto start = Clock::now();
  Verdict verdict;
  verdict.file = scenario.file;
  verdict.name = scenario.name;
  auto topology = scenario.topology;
  topology.name = options.lab;
  const auto lab = Lab::up(
      topology,
      [&](const std::string& stage, bool done) {
        if (done) options.progress(stage);
      },
      options.keep_failed);
  if (lab) {
    std::error_code error;
    std::filesystem::create_directories(lab->folder().path("tmp"), error);
    Runner runner(scenario, options, *lab);
    if (const auto wrong = runner.run()) {
      verdict.place = fmt::format("{}:{}", scenario.file, wrong->line);
      verdict.failure = wrong->failure;
      verdict.output = wrong->output;
    }
    verdict.expectations = runner.expectations();
  } else {
    verdict.place = scenario.file;
    verdict.failure = "the lab did not come up: " + lab.error().text();
  }
  if (verdict.passed() || !options.keep_failed) {
    if (const auto gone = Lab::down(options.lab); !gone && verdict.passed()) {
      verdict.place = scenario.file;
      verdict.failure = "the lab did not go: " + gone.error().text();
    }
  }
  verdict.time = Clock::now() - start;
  return verdict;
}

}  // namespace penstock::lab
