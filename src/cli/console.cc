#include "cli/console.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

namespace penstock::cli {
namespace {

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string read_all(int fd) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

std::string_view answer(Code code) {
  switch (code) {
    case Code::kNotFound:
      return "not found";
    case Code::kPermissionDenied:
      return "not allowed";
    case Code::kUnauthenticated:
      return "not logged in";
    case Code::kConflict:
    case Code::kAlreadyExists:
      return "conflict";
    case Code::kDeadlineExceeded:
      return "deadline passed";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kInvalidArgument:
      return "invalid";
    case Code::kFailedPrecondition:
      return "refused";
    case Code::kResourceExhausted:
      return "full";
    case Code::kUnimplemented:
      return "not supported";
    case Code::kInternal:
      return "internal error";
  }
  return "error";
}

std::string ask_at_terminal(std::string_view question) {
  write_all(STDERR_FILENO, question);
  std::string line;
  for (char c = 0; ::read(STDIN_FILENO, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

}  // namespace

std::string counted(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

Io process_io() {
  return {.out = [](std::string_view text) { return write_all(STDOUT_FILENO, text); },
          .err = [](std::string_view text) { return write_all(STDERR_FILENO, text); },
          .in = [] { return read_all(STDIN_FILENO); },
          .env = [](const std::string& name) -> std::optional<std::string> {
            const char* value = std::getenv(name.c_str());
            if (!value) return std::nullopt;
            return value;
          },
          .ask = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1
                     ? std::function<std::string(std::string_view)>(ask_at_terminal)
                     : nullptr,
          .out_is_tty = ::isatty(STDOUT_FILENO) == 1,
          .err_is_tty = ::isatty(STDERR_FILENO) == 1};
}

Console::Console(const Io& io)
    : io_(io),
      colour_(io.out_is_tty && !io.env("NO_COLOR").has_value()),
      err_is_tty_(io.err_is_tty) {}

void Console::write(std::string_view text) {
  clear_progress();
  if (!gone_ && !io_.out(text)) gone_ = true;
}

void Console::note(std::string_view text) {
  clear_progress();
  io_.err(std::string(text) + "\n");
}

void Console::error(const Error& error) {
  note(fmt::format("{}: {}", answer(error.code), error.message));
  for (const auto& detail : error.details) {
    // A single field error is usually the message itself; saying it twice helps nobody.
    const std::string text =
        detail.field.empty() ? detail.message : fmt::format("{}: {}", detail.field, detail.message);
    if (error.details.size() == 1 && error.message == text && detail.hint.empty()) continue;
    note(fmt::format("  {}{}", text, detail.hint.empty() ? "" : "; " + detail.hint));
  }
  hint(error.hint);
}

void Console::hint(std::string_view text) {
  if (text.empty()) return;
  const auto command = text.starts_with("penstock ") ? 0 : text.find(": penstock ");
  if (command == std::string_view::npos) return note(fmt::format("Hint: {}", text));
  note(fmt::format("Try: {}", text.substr(text.find("penstock ", command))));
}

void Console::progress(std::string_view text) {
  if (!err_is_tty_) return;
  io_.err(fmt::format("\r\x1b[K{}", text));
  progress_shown_ = true;
}

void Console::clear_progress() {
  if (!progress_shown_) return;
  progress_shown_ = false;
  io_.err("\r\x1b[K");
}

std::string Console::paint(Tone tone, std::string_view text) const {
  if (!colour_ || tone == Tone::kPlain) return std::string(text);
  const int code = tone == Tone::kGood      ? 32
                   : tone == Tone::kBad     ? 31
                   : tone == Tone::kWarning ? 33
                                            : 2;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

}  // namespace penstock::cli
