#include <deque>

#include <fmt/format.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/flow_text.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"
#include "cli/watching.h"
#include "cli/yaml_text.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock flows -f --vm TENANT/NAME";

struct Options {
  bool follow = false, all_tenants = false;
  std::string vm, profile, outcome, selector, deadline;
  std::size_t last = 20;
  OutputOptions output;
};

// One flow, one line. Times are UTC, so that they compare with the logs of hosts elsewhere.
std::string line_of(const Console& console, const Json& flow) {
  const auto time = text_at(at(flow, "time"));
  auto clock = time.size() > 19 ? time.substr(11, 12) : time;
  if (!clock.empty() && clock.back() != 'Z') clock += 'Z';
  const auto outcome = text_at(at(flow, "outcome"));
  const auto tone = outcome == "ALLOW"        ? Tone::kGood
                    : outcome == "WOULD_DENY" ? Tone::kWarning
                                              : Tone::kBad;
  return fmt::format("{:<13} {:<44} {:<10} {:<3} {} {}{}{}", clock, ends_text(flow),
                     protocol_text(flow), at(flow, "direction") == "OUT" ? "out" : "in",
                     console.paint(tone, fmt::format("{:<10}", outcome)),
                     text_at(at(flow, "profile")), rule_text(flow),
                     outcome == "WOULD_DENY" ? " (observe)" : "");
}

Result<std::string> selector_of(const Options& options, const std::string& vm) {
  std::string selector = options.selector;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty())
      selector += fmt::format("{}{}={}", selector.empty() ? "" : ",", name, value);
  };
  add("vm", vm);
  add("profile", options.profile);
  if (!options.outcome.empty()) {
    std::string outcome = options.outcome;
    for (auto& letter : outcome)
      letter = letter == '-' ? '_' : static_cast<char>(std::toupper(letter));
    v1::FlowRecord::Outcome known;
    if (!v1::FlowRecord::Outcome_Parse(outcome, &known) || known == 0)
      return fail(Code::kInvalidArgument,
                  fmt::format("--outcome {}: no such outcome", options.outcome),
                  "allow, deny, reject or would-deny");
    add("outcome", outcome);
  }
  return selector;
}

std::string nothing(const std::string& selector) {
  constexpr std::string_view kWhy =
      "rules log with \"log: true\", default actions with \"logDefaultIn\" and \"logDefaultOut\"; "
      "a flow comes a moment after its first packet: penstock flows -f waits for it";
  return selector.empty() ? fmt::format("no flows were logged of late; {}", kWhy)
                          : fmt::format("no flows with {} were logged of late; {}", selector, kWhy);
}

Result<Exit> flows(Invocation& inv, const Options& options) {
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  const bool columns = !options.output.columns.empty() || !options.output.sort_by.empty();
  if (columns && options.follow)
    return inv.usage("--columns and --sort-by are of no use with --follow", kTry);
  if (columns && !form->is_table())
    return inv.usage("--columns and --sort-by are of use for tables only",
                     "penstock flows -o wide");
  if (const auto shown = columns_of(kind_of<v1::FlowRecord>(), *form); !shown)
    return inv.usage(shown.error(), kTry);
  if (options.last == 0 && !options.follow)
    return inv.usage("--last 0 is of use with --follow only", kTry);
  if (!options.deadline.empty()) {
    if (const auto deadline = parse_duration(options.deadline); !deadline)
      return inv.usage(deadline.error(), kTry);
  }
  std::string tenant = options.all_tenants ? "" : PENSTOCK_TRY(inv.settings())->tenant;
  std::string vm;
  if (!options.vm.empty()) {
    const auto named = parse_name(kind_of<v1::VirtualMachine>(), options.vm, tenant);
    if (!named) return inv.usage(named.error(), kTry);
    tenant = named->tenant;
    vm = named->name;
  }
  const auto selector = selector_of(options, vm);
  if (!selector) return inv.usage(selector.error(), kTry);
  const Kind& kind = kind_of<v1::FlowRecord>();
  const Location location{kind.plural, tenant, ""};
  Console& console = inv.console();
  Api& api = *PENSTOCK_TRY(inv.api());

  if (!options.follow) {
    Json all = PENSTOCK_TRY(api.list(location, *selector));
    Json last = Json::array();
    const auto skipped = all.size() > options.last ? all.size() - options.last : 0;
    for (std::size_t i = skipped; i < all.size(); ++i) last.push_back(std::move(all[i]));
    if (last.empty() && form->is_table()) {
      if (!vm.empty()) PENSTOCK_CHECK(api.get({"vms", tenant, vm}));
      console.note(nothing(*selector));
      return Exit::kDone;
    }
    if (columns || form->form != Output::Form::kTable) {
      PENSTOCK_CHECK(print_objects(console, kind, last, false, *form, tenant.empty()));
      return Exit::kDone;
    }
    for (const auto& flow : last) console.line(line_of(console, flow));
    return Exit::kDone;
  }

  const auto show = [&](const Json& flow) {
    switch (form->form) {
      case Output::Form::kJson:
        return console.line(flow.dump(-1, ' ', false, Json::error_handler_t::replace));
      case Output::Form::kYaml:
        return console.write("---\n" + yaml_text(flow));
      case Output::Form::kJsonPath:
        return console.line(form->path->render(flow));
      case Output::Form::kName:
        return console.line(ref_of(flow).text());
      default:
        return console.line(line_of(console, flow));
    }
  };
  // What the server remembers comes first and ends with a bookmark.
  bool up_to_date = false;
  std::deque<Json> remembered;
  return follow(console, api, location, *selector, options.deadline, [&](const Json& event) {
    if (at(event, "type") == "BOOKMARK" && !up_to_date) {
      up_to_date = true;
      for (const auto& flow : remembered) show(flow);
      remembered.clear();
    }
    const Json& flow = at(event, "object");
    if (!flow.is_object()) return;
    if (up_to_date) return show(flow);
    remembered.push_back(flow);
    if (remembered.size() > options.last) remembered.pop_front();
  });
}

}  // namespace

void add_flows_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("flows", "flows that rules logged, and what became of them",
                         {"penstock flows --vm acme/web-1", "penstock flows -f --tenant acme",
                          "penstock flows -f --outcome deny --profile office-firewall"});
  verb.app->add_flag("-f,--follow", options->follow, "go on with flows as they come");
  verb.app->add_option("--vm", options->vm, "only of this VM");
  verb.app->add_option("--profile", options->profile, "only those this profile decided");
  verb.app->add_option("--outcome", options->outcome, "allow, deny, reject or would-deny");
  verb.app->add_option("-l,--selector", options->selector,
                       "labels: vm, nic, profile, rule, direction, outcome");
  verb.app->add_option("--last", options->last, "so many of those before now")
      ->capture_default_str();
  verb.app->add_flag("-A,--all-tenants", options->all_tenants, "of all tenants you may see");
  verb.app->add_option("--deadline", options->deadline, "with -f: end after 10s, 5m");
  verb.completes({"--vm", Complete::kNameOfKind, {"vm"}});
  verb.completes({"--profile", Complete::kCatalog, {}});
  verb.completes({"--outcome", Complete::kWords, {"allow", "deny", "reject", "would-deny"}});
  options->output.declare(verb, /*tables=*/true);
  verb.on([options](Invocation& inv) { return flows(inv, *options); });
}

}  // namespace penstock::cli
