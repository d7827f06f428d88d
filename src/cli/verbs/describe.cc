#include <fmt/format.h>

#include "cli/api.h"
#include "cli/catalog_table.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"
#include "cli/whoami.h"
#include "cli/yaml_text.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock describe vm TENANT/NAME";

struct Options {
  std::vector<std::string> words;
  int rule = 0;
};

void section(Console& console, std::string_view title, const Json& value) {
  if (value.is_null() || (value.is_structured() && value.empty())) return;
  console.line(fmt::format("{}:", title));
  const std::string text = yaml_text(value);
  for (std::size_t start = 0; start < text.size();) {
    const auto end = std::min(text.find('\n', start), text.size());
    console.line("  " + text.substr(start, end - start));
    start = end + 1;
  }
}

std::string headline(const Console& console, const ObjectRef& ref, const Json& object) {
  const Json& ready = condition_of(object, "Ready");
  const auto state = text_at(at(ready, "status")), reason = text_at(at(ready, "reason"));
  const auto message = text_at(at(ready, "message"));
  if (state.empty()) return ref.display();
  const std::string word = state == "TRUE"    ? console.paint(Tone::kGood, "ready")
                           : state == "FALSE" ? console.paint(Tone::kBad, "not ready")
                                              : console.paint(Tone::kWarning, "unknown");
  std::string out = fmt::format("{}: {}", ref.display(), word);
  if (state != "TRUE" && !reason.empty()) out += fmt::format(" ({})", reason);
  if (!message.empty()) out += ": " + message;
  return out;
}

void rollout_section(Console& console, const Json& rollout) {
  if (!rollout.is_object()) return;
  console.line(fmt::format(
      "rollout: applied on {} of {}, revision {}", number_at(at(rollout, "applied")),
      counted(number_at(at(rollout, "hosts")), "host"), number_at(at(rollout, "revision"))));
  for (const auto& host : at(rollout, "waiting")) {
    const auto message = text_at(at(host, "message"));
    console.line(fmt::format("  {} {} at revision {}{}", text_at(at(host, "host")),
                             text_at(at(host, "state")), number_at(at(host, "appliedRevision")),
                             message.empty() ? "" : ": " + message));
  }
}

// The newest events of the object. Someone who may not see events still gets the rest.
void events_section(Console& console, Api& api, const ObjectRef& ref) {
  constexpr std::size_t kShown = 5;
  const auto events = api.list({"events", "", ""}, "");
  if (!events) return;
  std::vector<std::string> lines;
  for (const auto& event : *events) {
    const Json& object = at(event, "object");
    const auto kind = kind_named(text_at(at(object, "kind")));
    if (!kind || *kind != ref.kind || text_at(at(object, "name")) != ref.name ||
        text_at(at(object, "tenant")) != ref.tenant) {
      continue;
    }
    lines.push_back(fmt::format("  {} ago  {}  {}", age_text(text_at(at(event, "time"))),
                                text_at(at(event, "reason")), text_at(at(event, "message"))));
  }
  if (lines.empty()) return;
  console.line("events:");
  for (std::size_t i = lines.size() - std::min(lines.size(), kShown); i < lines.size(); ++i)
    console.line(lines[i]);
}

// What the rule decided about, by level. Someone who may not ask still gets the rest.
void rule_counters(Console& console, Api& api, const std::string& profile, int number) {
  const auto answer = api.read("/v1:counters", {{"kind", "ServiceProfile"}, {"name", profile}});
  if (!answer) return;
  for (const auto& rule : at(*answer, "rules")) {
    if (number_at(at(rule, "ruleNumber")) != number) continue;
    const auto last = text_at(at(rule, "lastHit"));
    console.line(
        fmt::format("counters (level {}): {}, {} packets, {} bytes, {}", text_at(at(rule, "level")),
                    counted(number_at(at(rule, "flows")), "flow"), number_at(at(rule, "packets")),
                    number_at(at(rule, "bytes")),
                    last.empty() ? "never hit" : fmt::format("last hit {} ago", age_text(last))));
  }
}

// One rule of a profile: profiles take theirs from the definition.
Result<Exit> describe_rule(Console& console, Api& api, const ObjectRef& ref, const Json& object,
                           int number) {
  Json definition = object;
  if (ref.kind->name == "ServiceProfile") {
    definition =
        PENSTOCK_TRY(api.get({"definitions", "", text_at(at(object, "spec", "definition"))}));
  }
  const Json& rules = at(definition, "spec", "filter", "rules");
  const auto count = static_cast<int>(rules.size());
  if (number > count) {
    return fail(Code::kNotFound, fmt::format("{} has {}, no rule {}", ref.display(),
                                             counted(count, "rule"), number));
  }
  const Json& rule = rules[static_cast<std::size_t>(number - 1)];
  const auto name = text_at(at(rule, "name"));
  console.line(fmt::format("rule {} \"{}\" of {}: {}", number,
                           name.empty() ? fmt::format("rule-{}", number) : name, ref.display(),
                           text_at(at(rule, "action"))));
  section(console, "rule", rule);
  if (ref.kind->name == "ServiceProfile") rule_counters(console, api, ref.name, number);
  return Exit::kDone;
}

// A catalog entry is the server's view for one tenant, so it is taken from that tenant's catalog.
Result<Exit> describe_entry(Invocation& inv, const std::string& name) {
  Api& api = *PENSTOCK_TRY(inv.api());
  std::string tenant = PENSTOCK_TRY(inv.settings())->tenant;
  if (tenant.empty()) tenant = PENSTOCK_TRY(only_tenant(api));
  if (tenant.empty())
    return inv.usage("of which tenant's catalog? give --tenant or set PENSTOCK_TENANT",
                     "penstock describe catalog NAME --tenant TENANT");
  const Json entries = PENSTOCK_TRY(api.catalog(tenant, {}));
  Console& console = inv.console();
  for (const auto& entry : entries) {
    if (at(entry, "metadata", "name") != name) continue;
    Json status = at(entry, "status");
    const auto why = text_at(at(status, "whyNot"));
    console.line(fmt::format("{}: {} by {}; usable: {}{}", name, text_at(at(status, "serviceName")),
                             text_at(at(status, "vendor")), text_at(at(status, "usable")),
                             why.empty() ? "" : ", " + why));
    console.write(levels_of(entry).text());
    for (const auto* field : {"levels", "vendor", "serviceName", "usable", "whyNot"})
      status.erase(field);
    section(console, "more", status);
    console.try_next(fmt::format("penstock enable {} --on vm/{}/NAME", name, tenant));
    return Exit::kDone;
  }
  return fail(Code::kNotFound, fmt::format("the catalog of {} has no \"{}\"", tenant, name),
              fmt::format("see what there is: penstock catalog --tenant {}", tenant));
}

Result<Exit> describe(Invocation& inv, const Options& options) {
  const auto ref = parse_ref(options.words, PENSTOCK_TRY(inv.settings())->tenant);
  if (!ref) return inv.usage(ref.error(), kTry);
  if (options.rule < 0) return inv.usage("rules are counted from 1", kTry);
  if (ref->kind->name == "CatalogEntry") return describe_entry(inv, ref->name);
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json object = PENSTOCK_TRY(api.get(ref->location()));
  Console& console = inv.console();
  if (options.rule > 0) return describe_rule(console, api, *ref, object, options.rule);

  console.line(headline(console, *ref, object));
  Json metadata = at(object, "metadata"), status = at(object, "status");
  if (metadata.is_object()) {
    for (const auto* field : {"name", "tenant"}) metadata.erase(field);
  }
  Json conditions, rollout;
  if (status.is_object()) {
    conditions = at(status, "conditions");
    rollout = at(status, "rollout");
    status.erase("conditions");
    status.erase("rollout");
  }
  section(console, "metadata", metadata);
  section(console, "spec", at(object, "spec"));
  section(console, "status", status);
  section(console, "conditions", conditions);
  rollout_section(console, rollout);
  events_section(console, api, *ref);
  console.try_next("penstock explain " + ref->text());
  return Exit::kDone;
}

}  // namespace

void add_describe_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(
      "describe", "one object in full, with its conditions, hosts and events",
      {"penstock describe vm acme/web-1", "penstock describe catalog office-firewall -t acme",
       "penstock describe profile office-firewall --rule 3"});
  verb.app->add_option("object", options->words, "KIND NAME or KIND/NAME")
      ->required()
      ->expected(1, 2);
  verb.app->add_option("--rule", options->rule, "only this rule of a filter, counted from 1");
  verb.completes({"", Complete::kObject, {}});
  verb.on([options](Invocation& inv) { return describe(inv, *options); });
}

}  // namespace penstock::cli
