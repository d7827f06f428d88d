#include "cli/trace_text.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "net/address.h"

namespace penstock::cli {
namespace {

std::vector<std::string> split_arrow(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const auto& word : words) {
    if (word == "->" || word == "to") continue;
    const auto arrow = word.find("->");
    if (arrow == std::string::npos) {
      out.push_back(word);
      continue;
    }
    if (arrow > 0) out.push_back(word.substr(0, arrow));
    if (arrow + 2 < word.size()) out.push_back(word.substr(arrow + 2));
  }
  return out;
}

Status read_destination(std::string text, Json& packet) {
  if (const auto slash = text.rfind('/'); slash != std::string::npos) {
    // "acme/db-1" has a slash too; what follows it is no protocol.
    const auto word = text.substr(slash + 1);
    if (parse_ip_protocol(word)) {
      packet["protocol"] = word;
      text.resize(slash);
    }
  }
  std::string port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string::npos)
      return fail(Code::kInvalidArgument, fmt::format("\"{}\" has no closing bracket", text));
    if (end + 1 < text.size() && text[end + 1] == ':') port = text.substr(end + 2);
    text = text.substr(1, end - 1);
  } else if (std::ranges::count(text, ':') == 1) {
    port = text.substr(text.find(':') + 1);
    text.resize(text.find(':'));
  }
  packet["destination"] = text;
  if (port.empty()) return {};
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65535)
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" is not a port", port));
  packet["destinationPort"] = number;
  if (!packet.contains("protocol")) packet["protocol"] = "tcp";
  return {};
}

std::string decision_text(const Json& by) {
  if (text_at(at(by, "kind")) == "switch") return text_at(at(by, "name"));
  if (text_at(at(by, "kind")) == "receiver") return "the receiver's services";
  const auto number = number_at(at(by, "number"));
  auto out = text_at(at(by, "kind")) == "limit" ? std::string("the limit")
             : number == 0                      ? std::string("the default")
                           : fmt::format("rule {} \"{}\"", number, text_at(at(by, "rule")));
  out += " of profile " + text_at(at(by, "name"));
  if (const auto level = text_at(at(by, "level")); !level.empty())
    out += fmt::format(" (level {})", level);
  return out;
}

std::string host_of(const Json& way) {
  const auto& steps = at(way, "steps");
  return steps.empty() ? "" : text_at(at(steps.back(), "host"));
}

// "DROPPED at web-1/eth0 on host h1 by rule 3 ..."
std::string headline(const Json& way) {
  const auto disposition = text_at(at(way, "disposition")), where = text_at(at(way, "at"));
  const auto host = host_of(way);
  auto out = disposition;
  const bool arrived = disposition == "DELIVERED" || disposition == "HANDED_TO_REMOTE";
  if (!where.empty() && where != host) out += (arrived ? " to " : " at ") + where;
  if (!host.empty() && disposition != "UNKNOWN" && disposition != "LOST") out += " on host " + host;
  const Json& by = at(way, "decidedBy");
  const auto reason = text_at(at(way, "reason"));
  if (by.is_object()) out += " by " + decision_text(by);
  const bool by_rule = by.is_object() && text_at(at(by, "kind")) == "filter";
  if (!reason.empty() && !by_rule) out += ": " + reason;
  for (const auto& step : at(way, "steps"))
    if (text_at(at(step, "action")) == "would drop")
      out += "; WOULD_DROP by " + decision_text(at(step, "by")) + " (observe)";
  return out;
}

std::string packet_text(const Json& packet) {
  const auto end = [&](const char* address, const char* port) {
    const auto text = text_at(at(packet, address));
    const auto number = number_at(at(packet, port));
    if (number == 0) return text;
    return text.find(':') == std::string::npos ? fmt::format("{}:{}", text, number)
                                               : fmt::format("[{}]:{}", text, number);
  };
  const auto protocol = text_at(at(packet, "protocol"));
  auto out = fmt::format("{} {} -> {}", protocol.empty() ? "icmp" : protocol,
                         end("source", "sourcePort"), end("destination", "destinationPort"));
  std::vector<std::string> flags;
  for (const auto& flag : at(packet, "tcpFlags")) flags.push_back(text_at(flag));
  if (!flags.empty()) out += fmt::format(" {}", fmt::join(flags, ","));
  if (const auto icmp = text_at(at(packet, "icmp")); !icmp.empty()) out += " type " + icmp;
  return out;
}

// Steps of one place that follow each other.
struct Place {
  std::string host, port, dir;
  bool operator==(const Place&) const = default;
};
Place place_of(const Json& step) {
  return {text_at(at(step, "host")), text_at(at(step, "port")), text_at(at(step, "dir"))};
}

class Steps {
 public:
  Steps(Console& console, const Json& trace) : console_(console) {
    measure(at(trace, "steps"));
    measure(at(trace, "reply", "steps"));
  }
  void print(const Json& steps) {
    std::vector<std::string> folded;
    Place place;
    const auto flush = [&] {
      if (!folded.empty())
        line(place, fmt::format("{} step{} passed unchanged ({})", folded.size(),
                                folded.size() == 1 ? "" : "s", fmt::join(folded, ", ")));
      folded.clear();
    };
    for (const auto& step : steps) {
      const auto here = place_of(step);
      const bool fold = at(step, "folded") == true && at(step, "decisive") != true;
      if (here != place || !fold) flush();
      place = here;
      const auto component = text_at(at(step, "component")), flow = text_at(at(step, "flow"));
      if (fold) {
        folded.push_back(component + (flow.empty() ? "" : ": " + flow));
        continue;
      }
      auto text = component;
      if (const auto object = text_at(at(step, "object")); !object.empty()) text += " " + object;
      text += "  " + text_at(at(step, "action"));
      if (!flow.empty()) text += " (" + flow + ")";
      if (const auto more = text_at(at(step, "text")); !more.empty()) text += "  " + more;
      if (at(step, "decisive") == true)
        text = console_.paint(Tone::kWarning, text + "     <== decided here");
      line(place, text);
    }
    flush();
  }

 private:
  Console& console_;
  std::size_t host_ = 0, port_ = 0;

  void measure(const Json& steps) {
    for (const auto& step : steps) {
      const auto place = place_of(step);
      host_ = std::max(host_, place.host.size());
      port_ = std::max(port_, place.port.size());
    }
  }
  void line(const Place& place, const std::string& text) {
    const auto host = host_ == 0 ? std::string() : fmt::format("{:{}}  ", place.host, host_);
    console_.line(fmt::format("  {}{:{}}  {:3}  {}", host, place.port, port_, place.dir, text));
  }
};

std::string list_of(const Json& list) {
  std::vector<std::string> words;
  for (const auto& word : list) words.push_back(text_at(word));
  return fmt::format("{}", fmt::join(words, ", "));
}

std::string as_of(const Json& trace) {
  std::vector<std::string> hosts;
  const auto revision = number_at(at(trace, "asOf", "revision"));
  for (const auto& [host, applied] : at(trace, "asOf", "hosts").items())
    hosts.push_back(fmt::format("{} applied {}{}", host, number_at(applied),
                                number_at(applied) == revision ? "" : ", not the same"));
  return fmt::format("As of revision {}{}.", revision,
                     hosts.empty() ? "" : fmt::format(" ({})", fmt::join(hosts, "; ")));
}

}  // namespace

Result<TraceEnds> parse_trace_ends(const std::vector<std::string>& words) {
  const auto ends = split_arrow(words);
  if (ends.size() != 2)
    return fail(Code::kInvalidArgument, "two ends are needed: the sending VM and a destination",
                "in a shell \"->\" must be quoted; it may be left out");
  TraceEnds out;
  out.vm = ends[0];
  // "tenant/vm/nic": the last part of three. Of two parts the first is the tenant.
  if (std::ranges::count(out.vm, '/') == 2) {
    const auto slash = out.vm.rfind('/');
    out.nic = out.vm.substr(slash + 1);
    out.vm.resize(slash);
  }
  out.packet = Json::object();
  PENSTOCK_CHECK(read_destination(ends[1], out.packet));
  return out;
}

void make_minimal(Json& trace) {
  if (trace.is_object()) {
    for (const auto* field : {"asOf", "ns"}) trace.erase(field);
    for (auto& [name, value] : trace.items()) make_minimal(value);
  } else if (trace.is_array()) {
    for (auto& value : trace) make_minimal(value);
  }
}

void print_trace(Console& console, const Json& trace, bool minimal) {
  const auto disposition = text_at(at(trace, "disposition"));
  const auto tone =
      disposition == "DELIVERED" || disposition == "CONSUMED" ? Tone::kGood : Tone::kBad;
  console.line(console.paint(tone, headline(trace)));
  console.line("  " + packet_text(at(trace, "packet")));
  console.line("");
  Steps steps(console, trace);
  steps.print(at(trace, "steps"));
  if (const Json& reply = at(trace, "reply"); reply.is_object()) {
    console.line(
        "  reply path: " + headline(reply) +
        (at(reply, "packet").is_object() ? "  (" + packet_text(at(reply, "packet")) + ")" : ""));
    steps.print(at(reply, "steps"));
  } else {
    console.line("  reply path: " + text_at(at(trace, "noReply")));
  }
  for (const auto& assumption : at(trace, "assumptions"))
    console.line("  assumed: " + text_at(assumption));
  if (!at(trace, "redacted").empty())
    console.line("  not shown to you: " + list_of(at(trace, "redacted")));
  const bool live = text_at(at(trace, "mode")) == "live";
  // Nothing may have run: a host that is away, no route.
  const bool ran = std::ranges::any_of(at(trace, "steps"), [](const Json& step) {
    return text_at(at(step, "evidence")) == "executed";
  });
  const std::string how = live  ? "Real packets were watched."
                          : ran ? "The packet was run through the real programs; nothing was sent."
                                : "Nothing was run or sent.";
  console.line(minimal ? how : as_of(trace) + " " + how);
  const Json& by =
      at(trace, "decidedBy").is_object() ? at(trace, "decidedBy") : at(trace, "reply", "decidedBy");
  if (!at(by, "mayChange").empty()) {
    auto who = list_of(at(by, "mayChange"));
    std::ranges::replace(who, ':', ' ');
    console.line("May change it: " + who);
  }
  for (const auto& hint : at(trace, "hints")) console.try_next(text_at(hint));
}

}  // namespace penstock::cli
