#include "lab/lab_verbs.h"

#include "lab/verbs/verbs.h"

namespace penstock::lab {

void add_lab_verbs(cli::Verbs& verbs) {
  auto& lab =
      verbs.add("lab", "many hosts on this machine: each a namespace with its own agent and switch",
                {"penstock lab up examples/figure1.yaml"});
  lab.app->require_subcommand(1);
  Below below(verbs, lab.app);
  // In the order of a lab's life, as --help shows them.
  add_up(below);
  add_list(below);
  add_status(below);
  add_exec(below);
  add_link(below);
  add_capture(below);
  add_graph(below);
  add_restart(below);
  add_test(below);
  add_down(below);
  add_gc(below);
  add_schema(below);
}

}  // namespace penstock::lab
