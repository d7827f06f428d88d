#include "lab/scenario/scenario.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "cli/flags.h"
#include "lab/check.h"
#include "model/kinds.h"

namespace penstock::lab {
namespace {

const std::vector<std::string> kWords = {"scenario", "topology", "exec",   "start",
                                         "run",      "penstock", "as",     "stop",
                                         "restart",  "sleep",    "expect", "eventually"};

struct Line {
  int number = 0;
  std::size_t indent = 0;
  std::string text;  // without indentation and blanks at the end
};

std::vector<Line> lines_of(const std::string& text) {
  std::vector<Line> lines;
  std::istringstream in(text);
  int number = 0;
  for (std::string raw; std::getline(in, raw);) {
    ++number;
    const auto first = raw.find_first_not_of(' ');
    const auto last = raw.find_last_not_of(" \t\r");
    if (first == std::string::npos || last == std::string::npos || raw[first] == '#') continue;
    lines.push_back({number, first, raw.substr(first, last - first + 1)});
  }
  return lines;
}

// "exec acme/web: ping" -> "exec", "acme/web: ping"
std::pair<std::string, std::string> split(const std::string& text) {
  const auto blank = text.find(' ');
  if (blank == std::string::npos) return {text, ""};
  return {text.substr(0, blank), text.substr(text.find_first_not_of(' ', blank))};
}

class Parser {
 public:
  Parser(const std::string& text, const std::string& file) : text_(text), lines_(lines_of(text)) {
    scenario_.file = file;
    const std::filesystem::path path(file);
    scenario_.folder = std::filesystem::absolute(path).parent_path();
    scenario_.name = path.stem();
  }

  Result<Scenario> parse() {
    while (next_ < lines_.size()) {
      const auto& line = lines_[next_];
      const auto [word, rest] = split(line.text);
      if (line.indent != 0) {
        bad(line, "is indented, but belongs to nothing");
        ++next_;
      } else if (word == "scenario") {
        if (rest.empty()) bad(line, "a scenario needs a name");
        scenario_.name = rest;
        ++next_;
      } else if (word == "topology") {
        topology(rest);
      } else {
        step(scenario_.steps, 0);
      }
    }
    if (!has_topology_)
      problems_.push_back(
          {scenario_.file, "has no topology", "topology FILE, or topology and an indented block"});
    const bool tests = std::ranges::any_of(scenario_.steps, [](const Step& step) {
      return step.kind != Step::Kind::kSleep && step.kind != Step::Kind::kStart;
    });
    if (!tests)
      problems_.push_back({scenario_.file, "tests nothing", "exec NODE: COMMAND, then expect ..."});
    if (problems_.empty()) return std::move(scenario_);
    return std::unexpected(
        Error{Code::kInvalidArgument,
              fmt::format("{}: {} problem{}; nothing was started", scenario_.file, problems_.size(),
                          problems_.size() == 1 ? "" : "s"),
              std::move(problems_),
              {}});
  }

 private:
  void bad(const Line& line, std::string message, std::string hint = {}) {
    problems_.push_back(
        {fmt::format("{}:{}", scenario_.file, line.number), std::move(message), std::move(hint)});
  }
  void bad(const Line& line, const Error& error) { bad(line, error.message, error.hint); }

  void topology(const std::string& file) {
    const auto line = lines_[next_++];
    if (has_topology_) return bad(line, "there is a topology already");
    has_topology_ = true;
    Result<Topology> made = fail(Code::kInvalidArgument, "");
    if (!file.empty()) {
      made = read_topology((std::filesystem::path(scenario_.folder) / file).lexically_normal());
    } else {
      // The block as it stands, so that places in it are places in this file; a name before it.
      const auto indent = next_ < lines_.size() ? lines_[next_].indent : 0;
      std::istringstream in(text_);
      std::string raw, block = std::string(indent, ' ') + "name: lab\n";
      int number = 0;
      for (; std::getline(in, raw); ++number)
        if (number >= line.number) {
          if (!raw.empty() && raw.front() != ' ' && raw.front() != '#') break;
          block += raw + "\n";
        }
      while (next_ < lines_.size() && lines_[next_].indent != 0) ++next_;
      made = parse_topology(block, scenario_.file, scenario_.folder, line.number);
    }
    if (made)
      if (auto good = check_objects(*made); !good) made = std::unexpected(good.error());
    if (made) {
      scenario_.topology = std::move(*made);
    } else if (made.error().details.empty()) {
      bad(line, made.error());
    } else {
      for (const auto& detail : made.error().details) problems_.push_back(detail);
    }
  }

  void step(std::vector<Step>& into, std::size_t indent) {
    const auto line = lines_[next_++];
    const auto [word, rest] = split(line.text);
    Step step;
    step.line = line.number;
    step.text = line.text;
    if (word == "exec" || word == "start") {
      step.kind = word == "exec" ? Step::Kind::kExec : Step::Kind::kStart;
      // VMs are TENANT/NAME: the first ": " is ours, whatever the command holds.
      const auto colon = rest.find(": ");
      if (colon == std::string::npos || colon == 0)
        return bad(line, "needs a node and a command", word + " acme/web: ping -c 1 10.0.0.2");
      step.node = rest.substr(0, colon);
      step.command = rest.substr(rest.find_first_not_of(' ', colon + 1));
    } else if (word == "penstock" || word == "run") {
      step.kind = Step::Kind::kRun;
      step.command = word == "run" ? rest : line.text;
      if (rest.empty()) return bad(line, "needs a command");
    } else if (word == "as") {
      step.kind = Step::Kind::kRun;
      std::tie(step.user, step.command) = split(rest);
      if (step.command.empty())
        return bad(line, "needs a user and a command", "as alice penstock catalog --vm web");
    } else if (word == "stop" || word == "restart") {
      step.kind = word == "stop" ? Step::Kind::kStop : Step::Kind::kRestart;
      auto [node, how] = split(rest);
      step.node = node;
      step.at_once = how == "--kill";
      if (node.empty() || (!how.empty() && !step.at_once))
        return bad(line, "needs a host or \"server\"", word + " h1 --kill");
    } else if (word == "sleep" || word == "eventually") {
      step.kind = word == "sleep" ? Step::Kind::kSleep : Step::Kind::kEventually;
      const auto time = cli::parse_duration(rest);
      if (!time) return bad(line, time.error());
      step.time = *time;
      if (step.kind == Step::Kind::kEventually) inside(step, line, indent);
    } else if (word == "expect") {
      step.kind = Step::Kind::kExpect;
      if (into.empty() || !may_be_judged(into.back()))
        return bad(line, "there is no command before it", "exec, run or penstock");
      auto expectation = parse_expectation(rest);
      if (!expectation) return bad(line, expectation.error());
      step.expectation = std::move(*expectation);
    } else {
      auto hint = did_you_mean(word, kWords);
      return bad(
          line, fmt::format("\"{}\" is no step", word),
          hint.empty() ? fmt::format("steps: {}", fmt::join(kWords, ", ")) : std::move(hint));
    }
    into.push_back(std::move(step));
  }

  static bool may_be_judged(const Step& step) {
    return step.kind == Step::Kind::kExec || step.kind == Step::Kind::kRun ||
           step.kind == Step::Kind::kExpect;
  }

  void inside(Step& step, const Line& line, std::size_t indent) {
    while (next_ < lines_.size() && lines_[next_].indent > indent) {
      const auto& first = lines_[next_];
      if (split(first.text).first == "eventually") {
        bad(first, "eventually cannot be inside another");
        ++next_;
        continue;
      }
      this->step(step.inside, first.indent);
    }
    if (step.inside.empty()) bad(line, "has no steps below it", "indent what is to hold");
  }

  const std::string& text_;
  const std::vector<Line> lines_;
  std::size_t next_ = 0;
  bool has_topology_ = false;
  Scenario scenario_;
  std::vector<ErrorDetail> problems_;
};

}  // namespace

Result<Scenario> parse_scenario(const std::string& text, const std::string& file) {
  return Parser(text, file).parse();
}

Result<Scenario> read_scenario(const std::string& file) {
  std::ifstream in(file);
  if (!in) return fail_errno(errno, file);
  std::stringstream text;
  text << in.rdbuf();
  return parse_scenario(text.str(), file);
}

}  // namespace penstock::lab
