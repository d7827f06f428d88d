#include <fmt/format.h>

#include "cli/api.h"
#include "cli/format.h"
#include "cli/ref.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

void show(Console& console, const Json& status) {
  const Json& problems = at(status, "problems");
  const auto& hosts = at(status, "hosts");
  std::size_t applied = 0;
  for (const auto& host : hosts) applied += at(host, "state") == "APPLIED";
  const bool good = problems.empty() && applied == hosts.size();
  if (hosts.empty() && good)  // there are none, or this user does not see them
    console.line(fmt::format("{}: the server answers; revision {}",
                             console.paint(Tone::kGood, "ok"), number_at(at(status, "revision"))));
  else
    console.line(fmt::format(
        "{}: {} of {} applied; revision {}",
        good ? console.paint(Tone::kGood, "ok") : console.paint(Tone::kBad, "not ok"), applied,
        counted(std::ssize(hosts), "host"), number_at(at(status, "revision"))));
  for (const auto& problem : problems) console.line("  problem: " + text_at(problem));
  std::string behind;
  for (const auto& host : hosts) {
    if (at(host, "state") == "APPLIED") continue;
    if (behind.empty()) behind = text_at(at(host, "host"));
    const auto message = text_at(at(host, "message"));
    console.line(fmt::format("  {} {} at revision {}{}", text_at(at(host, "host")),
                             text_at(at(host, "state")), number_at(at(host, "appliedRevision")),
                             message.empty() ? "" : ": " + message));
  }
  for (const auto& condition : at(status, "conditions")) {
    const auto message = text_at(at(condition, "message"));
    if (text_at(at(condition, "type")) == "DropsGrowing" && !message.empty())
      console.line("  drops that grow: " + message);
  }
  std::string counts;
  for (const auto& [kind, count] : at(status, "objects").items()) {
    const auto known = number_at(count) == 1 ? find_kind(kind) : Result<const Kind*>(nullptr);
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", number_at(count),
                          known && *known ? singular(**known) : kind);
  }
  if (!counts.empty()) console.line("  " + counts);
  console.line(fmt::format("  server {}, epoch {}, incarnation {}", text_at(at(status, "version")),
                           number_at(at(status, "epoch")), text_at(at(status, "incarnation"))));
  if (const auto listening = text_at(at(status, "listening")); !listening.empty())
    console.line("  " + listening);
  console.try_next(!behind.empty() ? "penstock describe host " + behind
                   : !good         ? "penstock get events"
                   : hosts.empty() ? "penstock get vms -A"
                                   : "penstock get hosts");
}

}  // namespace

void add_status_verb(Verbs& verbs) {
  auto output = std::make_shared<OutputOptions>();
  Verb& verb = verbs.add("status", "the deployment on one screen",
                         {"penstock status", "penstock status -o json"});
  output->declare(verb, /*tables=*/false);
  verb.on([output](Invocation& inv) -> Result<Exit> {
    const auto form = parse_output(*output);
    if (!form) return inv.usage(form.error(), "penstock status --help");
    Api& api = *PENSTOCK_TRY(inv.api());
    const Json status = PENSTOCK_TRY(api.read("/v1:status", {}));
    if (form->is_table()) {
      show(inv.console(), status);
    } else {
      PENSTOCK_CHECK(print_data(inv.console(), status, *form));
    }
    return at(status, "problems").empty() ? Exit::kDone : Exit::kNo;
  });
}

}  // namespace penstock::cli
