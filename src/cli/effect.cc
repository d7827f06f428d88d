#include "cli/effect.h"

#include <fmt/format.h>

#include "cli/flow_text.h"

namespace penstock::cli {

std::string effect_summary(const Json& outcome) {
  const Json& effect = at(outcome, "effect");
  if (!effect.is_object()) return {};
  const auto hosts = number_at(at(effect, "hosts")), ports = number_at(at(effect, "ports"));
  if (hosts == 0) return "no host is concerned";
  const auto where = fmt::format("{} on {}", counted(ports, "port"), counted(hosts, "host"));
  const auto flows = number_at(at(effect, "flows")), cut = flows_cut(outcome);
  if (flows == 0) return where + "; no live flow is judged again";
  return fmt::format("{}; {} judged again, {} would be cut", where, counted(flows, "live flow"),
                     cut == 0 ? std::string("none") : fmt::format("{}", cut));
}

std::int64_t flows_cut(const Json& outcome) {
  return number_at(at(outcome, "effect", "flowsCut"));
}

void print_effect(Console& console, const Json& outcome) {
  const Json& effect = at(outcome, "effect");
  if (!effect.is_object()) return;
  std::int64_t shown = 0;
  for (const auto& flow : at(effect, "examples")) {
    ++shown;
    const auto profile = text_at(at(flow, "profile"));
    console.line(fmt::format("  {:<44} {:<8} {:<3} of {}/{}  {}", ends_text(flow),
                             protocol_text(flow), at(flow, "direction") == "OUT" ? "out" : "in",
                             text_at(at(flow, "vm")), text_at(at(flow, "nic")),
                             profile.empty() ? "its NIC goes" : profile + rule_text(flow)));
  }
  if (const auto cut = flows_cut(outcome); shown > 0 && cut > shown)
    console.line(fmt::format("  and {} more", cut - shown));
  for (const auto& missing : at(effect, "incomplete"))
    console.line(console.paint(Tone::kWarning, "  not known: " + text_at(missing)));
}

}  // namespace penstock::cli
