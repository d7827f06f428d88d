#include "cli/testing/harness.h"

#include <gtest/gtest.h>

namespace penstock::cli {

void expect_parses(std::string_view command, std::string_view from) {
  std::string said;
  const auto take = [&](std::string_view text) {
    said += text;
    return true;
  };
  const Io io{.out = take,
              .err = take,
              .in = [] { return std::string(); },
              .env = [](const std::string&) { return std::nullopt; }};
  Console console(io);
  CommandLine line({});
  const auto chosen = line.parse(words_of(command), console);
  EXPECT_EQ(chosen.exit, Exit::kDone) << "\"" << command << "\" of " << from << ": " << said;
}

Ran Terminal::run(const std::vector<std::string>& words) const {
  Ran ran;
  const Io io{.out =
                  [&](std::string_view text) {
                    if (closed_out) return false;
                    ran.out += text;
                    return true;
                  },
              .err =
                  [&](std::string_view text) {
                    ran.err += text;
                    return true;
                  },
              .in = [this] { return in; },
              .env = [this](const std::string& name) -> std::optional<std::string> {
                const auto found = env.find(name);
                if (found == env.end()) return std::nullopt;
                return found->second;
              },
              .ask = answer ? std::function<std::string(std::string_view)>(
                                  [this, &ran](std::string_view question) {
                                    ran.err += question;
                                    return *answer;
                                  })
                            : nullptr,
              .out_is_tty = tty,
              .err_is_tty = tty};
  ran.exit = static_cast<int>(penstock::cli::run(words, io));
  for (const std::string& text : {ran.out, ran.err}) {
    constexpr std::string_view kTry = "Try: ";
    for (auto at = text.find(kTry); at != std::string::npos; at = text.find(kTry, at + 1)) {
      const auto line = text.substr(at + kTry.size(), text.find('\n', at) - at - kTry.size());
      expect_parses(line, text);
    }
  }
  return ran;
}

}  // namespace penstock::cli
