#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include "cli/table.h"
#include "lab/verbs/verbs.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;

struct SetOptions {
  LabChoice lab;
  std::vector<std::string> links;
  std::string direction = "both";
  // By the order of impairment_fields().
  std::vector<std::string> values = std::vector<std::string>(impairment_fields().size());
};

Result<const Attachment*> link_of(const Lab& lab, const std::string& name) {
  if (const auto* link = lab.topology().find_link(name)) return link;
  const auto known = lab.topology().link_names();
  return fail(Code::kNotFound, fmt::format("lab {} has no link {}", lab.folder().lab(), name),
              fmt::format("links: {}", fmt::join(known, ", ")));
}

// What the options name is changed, everything else stays.
Status change(Impairment& way, const SetOptions& options) {
  const auto fields = impairment_fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (options.values[i].empty()) continue;
    if (auto set = set_impairment(way, fields[i].word, options.values[i]); !set)
      return std::unexpected(std::move(set).error().in(fmt::format("--{}", fields[i].word)));
  }
  return check_impairment(way);
}

Result<Exit> set(Invocation& inv, const SetOptions& options) {
  PENSTOCK_CHECK(need_root());
  if (std::ranges::all_of(options.values, [](const auto& value) { return value.empty(); }))
    return inv.usage("nothing to set", "penstock lab link set --help");
  const auto lab = PENSTOCK_TRY(options.lab.attach(inv));
  std::vector<LinkSetting> settings;
  for (const auto& name : options.links) {
    const auto* link = PENSTOCK_TRY(link_of(lab, name));
    LinkSetting setting{link->link, PENSTOCK_TRY(lab.links().get(link->link))};
    if (options.direction != "out") PENSTOCK_CHECK(change(setting.impairments.in, options));
    if (options.direction != "in") PENSTOCK_CHECK(change(setting.impairments.out, options));
    settings.push_back(std::move(setting));
  }
  const bool seed = !options.values.back().empty();
  PENSTOCK_CHECK(lab.links().set(settings, seed));
  for (const auto& setting : settings)
    inv.console().line(fmt::format("{}: {}", setting.link, setting.impairments.text()));
  inv.console().try_next("penstock lab link list --lab " + lab.folder().lab());
  return Exit::kDone;
}

struct ClearOptions {
  LabChoice lab;
  std::vector<std::string> links;
};

Result<Exit> clear(Invocation& inv, const ClearOptions& options) {
  PENSTOCK_CHECK(need_root());
  const auto lab = PENSTOCK_TRY(options.lab.attach(inv));
  std::vector<LinkSetting> settings;
  for (const auto& name : options.links)
    settings.push_back({PENSTOCK_TRY(link_of(lab, name))->link, {}});
  if (options.links.empty())
    for (const auto& state : PENSTOCK_TRY(lab.links().list()))
      if (state.impairments.any()) settings.push_back({state.link, {}});
  PENSTOCK_CHECK(lab.links().set(settings, false));
  for (const auto& setting : settings) inv.console().line(setting.link + ": none");
  if (settings.empty()) inv.console().line("no link is impaired");
  return Exit::kDone;
}

Json json_of(const LinkState& state) {
  auto json = state.impairments.json();
  json["link"] = state.link;
  json["node"] = state.node;
  json["network"] = state.network;
  if (state.broken) json["broken"] = true;
  for (const bool out : {false, true}) {
    auto& way = json[out ? "out" : "in"];
    way["frames"] = state.counts[out].frames;
    way["bytes"] = state.counts[out].bytes;
    way["lost"] = state.counts[out].lost;
    way["duplicated"] = state.counts[out].duplicated;
    way["overrun"] = state.lines[out].overrun;
    way["reordered"] = state.lines[out].reordered;
  }
  return json;
}

std::string count_text(const LinkState& state, bool out) {
  const auto& count = state.counts[out];
  const auto& line = state.lines[out];
  auto text = fmt::format("{} frames", count.frames);
  const auto add = [&](std::uint64_t n, const char* what) {
    if (n != 0) text += fmt::format(", {} {}", n, what);
  };
  add(count.lost, "lost");
  add(count.duplicated, "duplicated");
  add(line.overrun, "overrun");
  add(line.reordered, "reordered");
  return text;
}

Result<Exit> list(Invocation& inv, const LabChoice& choice, const cli::OutputOptions& options) {
  const auto form = cli::parse_output(options);
  if (!form) return inv.usage(form.error(), "penstock lab link list --help");
  PENSTOCK_CHECK(need_root());
  const auto lab = PENSTOCK_TRY(choice.attach(inv));
  const auto states = PENSTOCK_TRY(lab.links().list());
  if (!form->is_table()) {
    Json links = Json::array();
    for (const auto& state : states) links.push_back(json_of(state));
    PENSTOCK_CHECK(cli::print_data(inv.console(), {{"links", std::move(links)}}, *form));
    return Exit::kDone;
  }
  cli::Table table({"LINK", "IMPAIRMENT", "TO NODE", "FROM NODE"});
  bool broken = false;
  for (const auto& state : states) {
    const bool any = state.impairments.any();
    broken = broken || state.broken;
    table.add({state.link,
               any ? state.impairments.text() + (state.broken ? " (relay died)" : "") : "-",
               any ? count_text(state, false) : "-", any ? count_text(state, true) : "-"});
  }
  inv.console().write(table.text());
  const auto name = lab.folder().lab();
  inv.console().try_next(
      broken ? fmt::format("penstock lab link clear --lab {}", name)
             : fmt::format("penstock lab link set {} --loss 1% --delay 20ms --lab {}",
                           states.front().link, name));
  return Exit::kDone;
}

}  // namespace

void add_link(Below& below) {
  auto& group = below.add("link", "loss, delay, jitter, reordering, duplication and rate of links",
                          {"penstock lab link set h1-rack-a --loss 1% --delay 20ms"});
  group.app->require_subcommand(1);
  auto inside = below.under(group);

  auto set_options = std::make_shared<SetOptions>();
  auto& set_verb = inside.add("set", "change what is bad about links; what is not named stays",
                              {"penstock lab link set h1-rack-a --loss 1% --delay 20ms",
                               "penstock lab link set h1 h2 --rate 10mbit --direction in"});
  set_verb.app->add_option("link", set_options->links, "NODE-NETWORK, or NODE when it has one link")
      ->required();
  const auto fields = impairment_fields();
  for (std::size_t i = 0; i < fields.size(); ++i)
    set_verb.app->add_option(fmt::format("--{}", fields[i].word), set_options->values[i],
                             fmt::format("{}: {}", fields[i].example, fields[i].meaning));
  set_verb.app->add_option("--direction", set_options->direction, "both, in (to the node) or out")
      ->check(CLI::IsMember({"both", "in", "out"}));
  set_options->lab.declare(set_verb);
  set_verb.completes(link_place());
  set_verb.completes({"--direction", cli::Complete::kWords, {"both", "in", "out"}});
  set_verb.on([set_options](Invocation& inv) { return set(inv, *set_options); });

  auto choice = std::make_shared<LabChoice>();
  auto output = std::make_shared<cli::OutputOptions>();
  auto& list_verb = inside.add("list", "the links, what is bad about them, what happened to frames",
                               {"penstock lab link list", "penstock lab link list -o json"});
  choice->declare(list_verb);
  output->declare(list_verb, /*tables=*/false);
  list_verb.on([choice, output](Invocation& inv) { return list(inv, *choice, *output); });

  auto clear_options = std::make_shared<ClearOptions>();
  auto& clear_verb = inside.add("clear", "make links good again",
                                {"penstock lab link clear h1-rack-a", "penstock lab link clear"});
  clear_verb.app->add_option("link", clear_options->links, "else all");
  clear_options->lab.declare(clear_verb);
  clear_verb.completes(link_place());
  clear_verb.on([clear_options](Invocation& inv) { return clear(inv, *clear_options); });
}

}  // namespace penstock::lab
