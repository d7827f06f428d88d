// The verbs below `penstock lab`, and what they share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/format.h"
#include "cli/verb.h"
#include "lab/lab.h"

namespace penstock::lab {

// Namespaces and eBPF programs.
Status need_root();

// Verbs below `penstock lab`.
class Below {
 public:
  Below(cli::Verbs& verbs, CLI::App* parent) : verbs_(verbs), parent_(parent) {}
  cli::Verb& add(std::string name, std::string description, std::vector<std::string> examples) {
    return verbs_.add(std::move(name), std::move(description), std::move(examples), parent_);
  }
  Below under(cli::Verb& verb) { return {verbs_, verb.app}; }

 private:
  cli::Verbs& verbs_;
  CLI::App* parent_;
};

// --lab NAME; else PENSTOCK_LAB, else the only lab there is.
struct LabChoice {
  std::string name;

  void declare(cli::Verb&);
  Result<Lab> attach(cli::Invocation&) const;
};

// For completion.
cli::Place lab_place(std::string option = {});
cli::Place node_place();  // of the lab typed before, else of all labs
cli::Place link_place();

// export PENSTOCK_SERVER=... PENSTOCK_TOKEN=...
std::string environment(const Lab&);
// "up", "2 of 3 programs run", "being built", "dead", "of another version".
std::string state_of(const Folder&);
// Stages with their time, on stderr.
Progress timed_progress(cli::Console&);

void add_up(Below&);
void add_down(Below&);
void add_list(Below&);
void add_status(Below&);
void add_exec(Below&);
void add_restart(Below&);
void add_link(Below&);
void add_capture(Below&);
void add_graph(Below&);
void add_test(Below&);
void add_gc(Below&);
void add_schema(Below&);

}  // namespace penstock::lab
