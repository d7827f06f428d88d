// What a command says. Answers go to out, everything about the way there to err.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::cli {

// The process's surroundings, so that a test can be the terminal.
struct Io {
  std::function<bool(std::string_view)> out;  // false: the reader has gone
  std::function<bool(std::string_view)> err;
  std::function<std::string()> in;  // everything until end of file
  std::function<std::optional<std::string>(const std::string&)> env;
  // Puts a question and gives the line that answers it; without a terminal to answer at: empty.
  std::function<std::string(std::string_view)> ask = {};
  bool out_is_tty = false;
  bool err_is_tty = false;
};

// The real ones: file descriptors 0, 1, 2 and getenv.
Io process_io();

enum class Tone { kPlain, kGood, kBad, kWarning, kFaint };

// "1 host", "2 hosts".
std::string counted(std::int64_t count, std::string_view noun);

class Console {
 public:
  explicit Console(const Io& io);

  // One line each, without the newline.
  void line(std::string_view text) { write(std::string(text) + "\n"); }
  void note(std::string_view text);  // to err
  // The text as it is, to out.
  void write(std::string_view text);

  // "Try: ..." on out or err. The command must parse: tests run each one through the parser.
  void try_next(std::string_view command) { line("Try: " + std::string(command)); }

  // "see: penstock catalog" as the command to try, anything else as it is. To err; nothing when it
  // is empty.
  void hint(std::string_view text);

  // Says what is wrong in the form of every error: answer, fields, next command. To err.
  void error(const Error&);

  // A line on err that the next progress or note overwrites; nothing when err is not a terminal.
  void progress(std::string_view text);

  // Colour only on a terminal and only when NO_COLOR is not set; the words say the same without it.
  std::string paint(Tone, std::string_view text) const;

  // The reader of out has gone (a closed pipe): loops should end quietly.
  bool gone() const { return gone_; }
  bool interactive() const { return err_is_tty_; }

 private:
  void clear_progress();

  const Io& io_;
  bool colour_;
  bool err_is_tty_;
  bool gone_ = false;
  bool progress_shown_ = false;
};

}  // namespace penstock::cli
