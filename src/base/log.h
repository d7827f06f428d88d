// Logging is handed down like the runtime: a simulated world writes into its trace, a program to stderr.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace penstock {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

class Log {
 public:
  virtual ~Log() = default;
  virtual void write(LogLevel, std::string_view line) = 0;

  template <typename... Args>
  void debug(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::kDebug, fmt::format(text, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::kInfo, fmt::format(text, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void warning(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::kWarning, fmt::format(text, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void error(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::kError, fmt::format(text, std::forward<Args>(args)...));
  }
};

// Lines on stderr, with time and level, from `lowest` up. `program` stands in each line.
class StderrLog final : public Log {
 public:
  StderrLog(std::string program, LogLevel lowest);
  ~StderrLog() override;
  void write(LogLevel, std::string_view) override;

 private:
  struct Impl;
  Impl* impl_;
};

// For tests that do not look at the log.
class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view) override {}
};

}  // namespace penstock
