// The command line. Verbs live in src/cli/verbs; those of other folders join in the list below.
#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "cli/run.h"
#include "lab/demo.h"
#include "lab/lab_verbs.h"

int main(int argc, char** argv) {
  // A reader that goes away ("| head") is seen as a failed write, so that clean-up still runs.
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const auto exit = penstock::cli::run(
      words, penstock::cli::process_io(), {penstock::lab::add_lab_verbs, penstock::lab::add_demo_verb});
  return static_cast<int>(exit);
}
