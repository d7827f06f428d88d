#include "cli/flags.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace penstock::cli {

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const double factor = unit == "ms"                  ? 1
                        : unit == "s" || unit.empty() ? 1e3
                        : unit == "m"                 ? 6e4
                        : unit == "h"                 ? 3.6e6
                                                      : 0;
  if (error != std::errc{} || factor == 0 || !(value > 0) || value * factor > 8.64e7) {
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" is not a duration", text),
                "write 500ms, 10s, 2m or 1h; at most a day");
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(value * factor)));
}

void WriteFlags::declare(Verb& verb) {
  verb.app->add_flag("--dry-run{server}", dry_run,
                     "everything but the change, as the server sees it");
  verb.app->add_flag("--wait", wait, "answer when all hosts concerned have applied it");
  verb.app->add_option("--deadline", deadline,
                       "how long --wait waits: 500ms, 10s, 2m; plain numbers are seconds");
  verb.completes({"--dry-run", Complete::kWords, {"server"}});
}

Result<WriteOptions> WriteFlags::parse() const {
  WriteOptions options;
  if (!dry_run.empty() && dry_run != "server") {
    return fail(Code::kInvalidArgument,
                fmt::format("--dry-run={}: only the server can tell", dry_run),
                "write --dry-run=server");
  }
  options.dry_run = !dry_run.empty();
  options.wait_applied = wait;
  if (!deadline.empty()) {
    if (!wait)
      return fail(Code::kInvalidArgument, "--deadline is of no use without --wait", "add --wait");
    options.deadline = PENSTOCK_TRY(parse_duration(deadline));
  }
  if (options.dry_run && wait) {
    return fail(Code::kInvalidArgument, "a dry run applies nothing that could be waited for",
                "leave --wait out");
  }
  return options;
}

Result<std::vector<ObjectRef>> parse_refs(const std::vector<std::string>& words,
                                          const std::string& tenant) {
  std::vector<ObjectRef> refs;
  if (words.empty()) {
    return fail(Code::kInvalidArgument, "an object is needed", "write KIND NAME or KIND/NAME");
  }
  const bool kind_first = words[0].find('/') == std::string::npos;
  if (kind_first && words.size() == 1) {
    const Kind* kind = PENSTOCK_TRY(kind_named(words[0]));
    return fail(Code::kInvalidArgument, fmt::format("which {}?", singular(*kind)),
                fmt::format("write {0} NAME or {0}/NAME", singular(*kind)));
  }
  for (std::size_t i = kind_first ? 1 : 0; i < words.size(); ++i) {
    if (kind_first) {
      refs.push_back(PENSTOCK_TRY(parse_ref({words[0], words[i]}, tenant)));
    } else {
      refs.push_back(PENSTOCK_TRY(parse_ref({words[i]}, tenant)));
    }
  }
  return refs;
}

std::string Target::text() const {
  return fmt::format("{} {}/{}{}", kind, tenant, name, nic.empty() ? "" : "/" + nic);
}

std::string Target::word() const {
  return fmt::format("{}/{}/{}{}", kind, tenant, name, nic.empty() ? "" : "/" + nic);
}

Json Target::json() const {
  Json out;
  if (nic.empty()) {
    out[kind] = name;
  } else {
    out["nic"] = Json{{"vm", name}, {"nic", nic}};
  }
  return out;
}

Result<Target> parse_target(std::string_view text, const std::string& default_tenant) {
  constexpr std::string_view kForms = "vm/NAME, nic/VM/NIC, pool/NAME or network/NAME";
  constexpr std::array<std::string_view, 4> kTargets{"vm", "nic", "pool", "network"};
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  const bool empty_part = std::ranges::any_of(parts, &std::string::empty);
  if (empty_part || parts.size() < 2) {
    return fail(Code::kInvalidArgument, fmt::format("--on {}: not a target", text),
                fmt::format("write {}", kForms));
  }
  Target target{.kind = parts[0], .tenant = default_tenant, .name = {}, .nic = {}};
  if (std::ranges::find(kTargets, target.kind) == kTargets.end()) {
    const auto kind = kind_named(parts[0]);
    if (kind) target.kind = singular(**kind);
  }
  if (std::ranges::find(kTargets, target.kind) == kTargets.end()) {
    return fail(Code::kInvalidArgument,
                fmt::format("--on {}: nothing can be enabled on a {}", text, parts[0]),
                fmt::format("write {}", kForms));
  }
  parts.erase(parts.begin());
  const std::size_t needed = target.kind == "nic" ? 2 : 1;
  if (parts.size() == needed + 1) {
    target.tenant = parts[0];
    parts.erase(parts.begin());
  }
  if (parts.size() != needed) {
    return fail(Code::kInvalidArgument, fmt::format("--on {}: not a target", text),
                fmt::format("write {}", kForms));
  }
  if (target.tenant.empty()) {
    return fail(Code::kInvalidArgument, fmt::format("--on {}: of which tenant?", text),
                fmt::format("write {}/TENANT/{}, or give --tenant or PENSTOCK_TENANT", target.kind,
                            parts[0]));
  }
  target.name = parts[0];
  if (needed == 2) target.nic = parts[1];
  return target;
}

Exit exit_of_outcome(const Json& outcome, bool waited) {
  if (!waited) return Exit::kDone;
  const Json& rollout = at(outcome, "rollout");
  const bool late = at(outcome, "deadlinePassed") == true;
  if (number_at(at(rollout, "applied")) >= number_at(at(rollout, "hosts")) && !late)
    return Exit::kDone;
  // The server ends a wait early only when going on is hopeless.
  return late || number_at(at(rollout, "gaveUp")) == 0 ? Exit::kDeadline : Exit::kFailed;
}

Exit print_outcome(Console& console, const Json& outcome, bool waited, std::string_view why) {
  for (const auto& warning : at(outcome, "warnings")) {
    console.line(console.paint(Tone::kWarning, "warning: " + text_at(warning)));
  }
  if (!waited) return Exit::kDone;
  const Json& rollout = at(outcome, "rollout");
  const auto hosts = number_at(at(rollout, "hosts")), applied = number_at(at(rollout, "applied"));
  for (const auto& laggard : at(rollout, "waiting")) {
    const auto state = text_at(at(laggard, "state")), message = text_at(at(laggard, "message"));
    const std::string_view said = state == "FAILED"        ? "failed"
                                  : state == "UNREACHABLE" ? "no session with the server"
                                                           : "no answer yet";
    console.line(fmt::format("  {} {}: {}", text_at(at(laggard, "host")),
                             console.paint(Tone::kBad, "not applied"),
                             message.empty() ? said : message));
  }
  const bool late = at(outcome, "deadlinePassed") == true;
  if (hosts == 0 && !late) {
    console.line("no host is concerned");
  } else {
    console.line(fmt::format("applied on {} of {}{}", applied, counted(hosts, "host"),
                             late ? "; the deadline passed" : ""));
  }
  const Exit end = exit_of_outcome(outcome, waited);
  if (end == Exit::kDone) return end;
  console.line(end == Exit::kFailed
                   ? "The change stays; it is tried again when something about it changes."
                   : "The change stays and is retried.");
  console.try_next(why);
  return end;
}

}  // namespace penstock::cli
