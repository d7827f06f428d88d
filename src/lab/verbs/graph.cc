#include <filesystem>

#include <fmt/format.h>

#include "lab/graph/graph.h"
#include "lab/verbs/verbs.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;

struct Options {
  std::string lab, output = "text";
};

// Of a running lab: VMs and networks as the server has them, links as they are now.
Result<Graph> running(const std::string& name) {
  const auto lab = PENSTOCK_TRY(Lab::attach(name));
  std::vector<LinkSetting> links;
  for (const auto& state : PENSTOCK_TRY(lab.links().list()))
    links.push_back({state.link, state.impairments});
  std::vector<Json> objects;
  auto api = PENSTOCK_TRY(lab.api());
  for (const auto* plural : {"networks", "vms"})
    for (const auto& object : PENSTOCK_TRY(api.list({plural, "", ""}, "")))
      objects.push_back(object);
  return graph_of(lab.topology(), objects, links);
}

Result<Exit> graph(Invocation& inv, const Options& options) {
  const bool file = !Folder(options.lab).exists() && std::filesystem::is_regular_file(options.lab);
  Graph made;
  if (file) {
    const auto topology = PENSTOCK_TRY(read_topology(options.lab));
    made = graph_of(topology, topology.objects, topology.links);
  } else {
    made = PENSTOCK_TRY(running(options.lab));
  }
  inv.console().write(options.output == "svg"       ? graph_svg(made)
                      : options.output == "mermaid" ? graph_mermaid(made)
                                                    : graph_text(made));
  return Exit::kDone;
}

}  // namespace

void add_graph(Below& below) {
  auto options = std::make_shared<Options>();
  auto& verb = below.add("graph", "a picture of a running lab or of a topology file",
                         {"penstock lab graph figure1",
                          "penstock lab graph examples/figure1.yaml -o svg > figure1.svg"});
  verb.app->add_option("lab", options->lab, "name of a lab, or a topology file")->required();
  verb.app->add_option("-o,--output", options->output, "text, mermaid or svg")
      ->check(CLI::IsMember({"text", "mermaid", "svg"}));
  verb.completes(lab_place());
  verb.completes({"--output", cli::Complete::kWords, {"text", "mermaid", "svg"}});
  verb.on([options](Invocation& inv) { return graph(inv, *options); });
}

}  // namespace penstock::lab
