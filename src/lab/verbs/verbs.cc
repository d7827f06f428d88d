#include "lab/verbs/verbs.h"

#include <unistd.h>

#include <chrono>

#include <fmt/format.h>

namespace penstock::lab {

using cli::Complete;
using cli::Place;

Status need_root() {
  if (geteuid() == 0) return {};
  return fail(Code::kPermissionDenied,
              "a lab makes network namespaces and loads eBPF programs, which needs root",
              "sudo penstock lab ...");
}

void LabChoice::declare(cli::Verb& verb) {
  verb.app->add_option("--lab", name, "else PENSTOCK_LAB, else the only lab there is");
  verb.completes(lab_place("--lab"));
}

Result<Lab> LabChoice::attach(cli::Invocation& inv) const {
  if (!name.empty()) return Lab::attach(name);
  if (const auto named = inv.io().env("PENSTOCK_LAB"); named && !named->empty())
    return Lab::attach(*named);
  const auto labs = Folder::all_labs();
  if (labs.size() == 1) return Lab::attach(labs.front());
  if (labs.empty())
    return fail(Code::kNotFound, "there is no lab", "penstock lab up examples/figure1.yaml");
  return fail(Code::kInvalidArgument, fmt::format("which lab? there are {}", labs.size()),
              fmt::format("--lab with one of: {}", fmt::join(labs, ", ")));
}

namespace {

std::vector<std::string> labs_meant(const std::vector<std::string>& typed) {
  const auto labs = Folder::all_labs();
  if (!typed.empty() && std::ranges::find(labs, typed.front()) != labs.end())
    return {typed.front()};
  return labs;
}

}  // namespace

Place lab_place(std::string option) {
  return {std::move(option), Complete::kOffer, {}, [](const auto&) { return Folder::all_labs(); }};
}

Place node_place() {
  return {"", Complete::kOffer, {}, [](const std::vector<std::string>& typed) {
            std::vector<std::string> all;
            for (const auto& name : labs_meant(typed))
              if (const auto lab = Lab::attach(name))
                for (auto& node : lab->nodes()) all.push_back(std::move(node));
            return all;
          }};
}

Place link_place() {
  return {"", Complete::kOffer, {}, [](const std::vector<std::string>&) {
            std::vector<std::string> all;
            for (const auto& name : Folder::all_labs())
              if (const auto lab = Lab::attach(name))
                for (auto& link : lab->topology().link_names()) all.push_back(std::move(link));
            return all;
          }};
}

std::string environment(const Lab& lab) {
  return fmt::format("export PENSTOCK_SERVER={} PENSTOCK_TOKEN=$(cat {})",
                     lab.folder().server_url(), lab.folder().admin_token_file());
}

std::string state_of(const Folder& folder) {
  if (folder.building()) return "being built";
  const auto programs = folder.programs();
  const auto running = std::ranges::count_if(
      programs, [&](const auto& name) { return folder.running_pid(name) > 0; });
  if (running == 0) return "dead";
  if (folder.of_another_version()) return "of another version";
  return running == static_cast<std::ptrdiff_t>(programs.size())
             ? "up"
             : fmt::format("{} of {} programs run", running, programs.size());
}

Progress timed_progress(cli::Console& console) {
  const auto start = std::chrono::steady_clock::now();
  return [&console, start](const std::string& text, bool done) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    const auto line = fmt::format("{:6.1f} s  {}", passed.count(), text);
    if (done) {
      console.note(line);
    } else {
      console.progress(line + " ...");
    }
  };
}

}  // namespace penstock::lab
