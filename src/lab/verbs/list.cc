#include <ranges>

#include <fmt/format.h>

#include "cli/table.h"
#include "lab/verbs/verbs.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;

Json described(const std::string& name) {
  Json json = {{"name", name}, {"state", state_of(Folder(name))}};
  const auto lab = Lab::attach(name);
  if (!lab) {
    json["problem"] = lab.error().message;
    return json;
  }
  const auto& topology = lab->topology();
  Json hosts = Json::array(), links = Json::array();
  for (const auto& host : topology.hosts) hosts.push_back(host.name);
  if (const auto states = lab->links().list())
    for (const auto& state : *states)
      if (state.impairments.any()) {
        auto link = state.impairments.json();
        link["link"] = state.link;
        link["text"] = state.impairments.text();
        links.push_back(std::move(link));
      }
  json["hosts"] = std::move(hosts);
  json["server"] = lab->folder().server_url();
  json["impairedLinks"] = std::move(links);
  return json;
}

std::string links_text(const Json& links) {
  std::string text;
  for (const auto& link : links)
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", cli::text_at(cli::at(link, "link")),
                        cli::text_at(cli::at(link, "text")));
  return text.empty() ? "-" : text;
}

Result<Exit> list(Invocation& inv, const cli::OutputOptions& options) {
  const auto form = cli::parse_output(options);
  if (!form) return inv.usage(form.error(), "penstock lab list --help");
  const auto labs = Folder::all_labs();
  Json all = Json::array();
  for (const auto& name : labs) all.push_back(described(name));
  if (!form->is_table()) {
    PENSTOCK_CHECK(cli::print_data(inv.console(), {{"labs", std::move(all)}}, *form));
    return Exit::kDone;
  }
  if (labs.empty()) {
    inv.console().line("no labs");
    inv.console().try_next("penstock lab up examples/figure1.yaml");
    return Exit::kDone;
  }
  cli::Table table({"NAME", "STATE", "HOSTS", "IMPAIRED LINKS"});
  auto next = "penstock lab down " + labs.front();
  for (const auto& lab : all | std::views::reverse)
    if (!lab.contains("problem"))
      next = "penstock lab status " + cli::text_at(cli::at(lab, "name"));
  for (const auto& lab : all) {
    if (cli::at(lab, "state") == "dead") next = "penstock lab gc";
    const auto& hosts = cli::at(lab, "hosts");
    table.add({cli::text_at(cli::at(lab, "name")), cli::text_at(cli::at(lab, "state")),
               hosts.is_array() ? std::to_string(hosts.size()) : "-",
               links_text(cli::at(lab, "impairedLinks"))});
  }
  inv.console().write(table.text());
  inv.console().try_next(next);
  return Exit::kDone;
}

Result<Exit> status(Invocation& inv, const std::string& name) {
  const auto lab = PENSTOCK_TRY(Lab::attach(name));
  inv.console().line(fmt::format("lab {}: {}", name, state_of(lab.folder())));
  for (const auto& program : lab.folder().programs()) {
    const int pid = lab.folder().running_pid(program);
    inv.console().line(fmt::format("  {:<12} {:<14} log {}", program,
                                   pid > 0 ? fmt::format("pid {}", pid) : "not running",
                                   lab.folder().path("logs/" + program)));
  }
  inv.console().line("  " + environment(lab));
  inv.console().try_next(fmt::format("penstock lab exec {} {} -- ip -br address", name,
                                     lab.topology().routers.front().name));
  return Exit::kDone;
}

}  // namespace

void add_list(Below& below) {
  auto options = std::make_shared<cli::OutputOptions>();
  auto& verb = below.add("list", "the labs of this machine and what is bad about their links",
                         {"penstock lab list", "penstock lab list -o json"});
  options->declare(verb, /*tables=*/false);
  verb.on([options](Invocation& inv) { return list(inv, *options); });
}

void add_status(Below& below) {
  auto name = std::make_shared<std::string>();
  auto& verb = below.add("status", "programs of a lab and how to reach its server",
                         {"penstock lab status figure1"});
  verb.app->add_option("lab", *name)->required();
  verb.completes(lab_place());
  verb.on([name](Invocation& inv) { return status(inv, *name); });
}

void add_schema(Below& below) {
  below.add("schema", "JSON Schema of the topology file", {"penstock lab schema > lab.schema.json"})
      .on([](Invocation& inv) -> Result<Exit> {
        inv.console().line(topology_schema().dump(2));
        return Exit::kDone;
      });
}

}  // namespace penstock::lab
