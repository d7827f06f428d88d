#include "host/trace_steps.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "abi/events.h"
#include "host/rule_text.h"
#include "host/switch/switch_abi.h"
#include "net/switch_number.h"

namespace penstock::host {
namespace {

const char* direction_text(int direction) {
  return direction == PS_OUT ? "out" : "in";
}

std::string flow_text(std::uint32_t what, std::uint32_t state) {
  switch (what) {
    case PS_TRACED_UNTRACKED:
      return "untracked";
    case PS_TRACED_NEW:
      return "new";
    case PS_TRACED_REPLY:
      return "reply";
    case PS_TRACED_RELATED:
      return "related";
    default:
      break;
  }
  switch (state) {
    case PS_FLOW_NEW:
      return "opening";
    case PS_FLOW_ANSWERED:
    case PS_FLOW_ESTABLISHED:
      return "established";
    case PS_FLOW_CLOSING:
      return "closing";
    default:
      return "closed";
  }
}

bool is_limit(ps_drop_reason reason) {
  return component_of(reason) == "limits";
}

// "50 Mbit/s"
std::string bit_rate_text(std::int64_t bits) {
  static constexpr std::array kUnits{"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
  std::size_t unit = 0;
  while (bits >= 1000 && bits % 1000 == 0 && unit + 1 < kUnits.size()) {
    bits /= 1000;
    ++unit;
  }
  return fmt::format("{} {}", bits, kUnits[unit]);
}

std::string vtep_text(const ps_vtep& vtep) {
  return address_of(vtep).text();
}

// One record, note by note.
class Reader {
 public:
  Reader(const ps_trace& said, const TraceNames& names, std::string_view evidence,
         v1::TraceReport& out)
      : said_(said), names_(names), evidence_(evidence), out_(out) {}

  void read() {
    const auto count = std::min<std::uint32_t>(said_.notes_count, PS_TRACE_NOTES);
    for (std::uint32_t i = 0; i < count; ++i) note(said_.notes[i]);
    if (said_.notes_count > PS_TRACE_NOTES)
      add("trace", "passed")
          .set_text(
              fmt::format("{} more notes than a record holds", said_.notes_count - PS_TRACE_NOTES));
    // What comes before the receiver is known belongs to its side too.
    if (receiver_ != 0)
      for (auto& step : *out_.mutable_steps())
        if (step.port().empty()) {
          step.set_port(names_.nic(receiver_));
          step.set_dir(direction_text(PS_IN));
        }
    if (out_.end() == v1::TraceReport::DELIVERED && out_.port_id() == 0) out_.set_port_id(port_);
  }

 private:
  const ps_trace& said_;
  const TraceNames& names_;
  const std::string evidence_;
  v1::TraceReport& out_;
  std::uint32_t port_ = 0;  // whose side the coming steps are
  std::uint32_t sender_ = 0, receiver_ = 0;
  int side_ = PS_OUT;
  bool dropped_ = false;
  int copies_here_ = 0, copies_away_ = 0;
  std::int64_t ns_ = 0;
  v1::TraceStep* judged_ = nullptr;   // the last step that had an opinion
  v1::TraceStep* limited_ = nullptr;  // the limit that was exceeded

  v1::TraceStep& add(std::string component, std::string action) {
    auto& step = *out_.add_steps();
    if (port_ != 0) {
      step.set_port(names_.nic(port_));
      step.set_dir(direction_text(side_));
    }
    step.set_component(std::move(component));
    step.set_action(std::move(action));
    step.set_evidence(evidence_);
    step.set_ns(ns_);
    return step;
  }
  v1::TraceStep& quiet(std::string component) {
    auto& step = add(std::move(component), "passed");
    step.set_folded(true);
    return step;
  }
  // The side that the note is about: its port and direction are those of what follows.
  void take_side(int side) {
    side_ = side;
    port_ = side == PS_OUT ? sender_ : receiver_;
  }

  void note(const ps_note& n) {
    ns_ = static_cast<std::int64_t>(n.ns);
    switch (n.kind) {
      case PS_NOTE_PORT:
        return at_port(n);
      case PS_NOTE_PARSED:
        quiet("parse");
        return;
      case PS_NOTE_SENDER:
        quiet("anti-spoofing");
        return;
      case PS_NOTE_ENDPOINT:
        return endpoint(n);
      case PS_NOTE_FLOW:
        return flow(n);
      case PS_NOTE_STEP:
        return judged(n);
      case PS_NOTE_MADE:
        return;  // what "new" means
      case PS_NOTE_NO_ROOM:
        add("conntrack", "not remembered")
            .set_text(n.a ? "the flow table is full: judged packet by packet"
                          : "the port's quota of flows is used up: judged packet by packet");
        return;
      case PS_NOTE_DROP:
        return drop(static_cast<ps_drop_reason>(n.a));
      case PS_NOTE_LOCAL:
        return delivered(n);
      case PS_NOTE_REMOTE:
        return sent_on();
      case PS_NOTE_BACK:
        return answered(n);
      case PS_NOTE_PUNT:
        add("responder", "taken")
            .set_text(n.a == PS_PUNT_ROUTER_SOLICITATION
                          ? "answered by the host (router solicitation)"
                          : "answered by the host (DHCP)");
        return;
      case PS_NOTE_COPY:
        ++(n.a == ~0U ? copies_away_ : copies_here_);
        return;
      case PS_NOTE_PASS:
        out_.set_end(v1::TraceReport::DELIVERED);
        add("delivery", "delivered").set_text("to " + names_.nic(port_));
        return;
      case PS_NOTE_LIMIT:
        return limited(n);
      default:
        return;  // of a newer switch
    }
  }

  void at_port(const ps_note& n) {
    const bool from_vm = said_.program == PS_TRACED_FROM_PORT;
    (from_vm ? sender_ : receiver_) = n.b;
    take_side(from_vm ? PS_OUT : PS_IN);
    if (from_vm) out_.set_port_id(0);
    quiet("port");
  }

  void endpoint(const ps_note& n) {
    if (said_.program == PS_TRACED_FROM_OVERLAY) {
      receiver_ = n.b;
      take_side(PS_IN);
    } else if (n.a == PS_ENDPOINT_LOCAL) {
      receiver_ = n.b;
    }
    quiet("forwarding")
        .set_text(fmt::format("to {}{}", names_.nic(n.b),
                              n.a == PS_ENDPOINT_LOCAL ? "" : " on another host"));
  }

  void flow(const ps_note& n) {
    take_side(n.index & 1);
    const auto what = n.a & 0xff, state = n.a >> 8 & 0xff;
    const int initiator = static_cast<int>(n.a >> 16 & 1);
    auto& step = quiet("conntrack");
    step.set_flow(flow_text(what, state));
    judged_ = &step;
    if (what == PS_TRACED_UNTRACKED) {
      judged_ = nullptr;
      step.set_text("no service on this NIC");
    } else if (what == PS_TRACED_HIT || what == PS_TRACED_RELATED) {
      step.set_folded(false);
      *step.mutable_by() = names_.rule(n.c, n.b, initiator, port_);
      step.set_object(step.by().name());
      step.set_text(fmt::format("of a flow judged before{}{}",
                                step.by().name().empty() ? "" : " by " + said_by(step.by()),
                                names_.observes(n.c, port_) ? " (observe)" : ""));
    } else if (what == PS_TRACED_REJUDGED) {
      step.set_folded(false);
      step.set_text("judged again: the policy has changed since");
    }
  }

  static std::string said_by(const v1::TraceDecision& by) {
    if (by.number() == 0) return fmt::format("the default of {}: {}", by.name(), by.text());
    return fmt::format("rule {} \"{}\" of {}: {}", by.number(), by.rule(), by.name(), by.text());
  }

  void judged(const ps_note& n) {
    const int side = n.index >> 8 & 1;
    take_side(side);
    const auto action = n.a & 0xff;
    const auto kind = n.a >> 8 & 0xff, flags = n.a >> 16 & 0xff;
    const bool observe = flags & PS_STEP_OBSERVE;
    const bool refused = action != PS_ACTION_ALLOW;
    std::string component = "step";
#define PS_STEP_WORD(NAME, number, suffix, help) \
  if (kind == PS_STEP_##NAME) component = #suffix;
    PS_STEP_KINDS(PS_STEP_WORD)
#undef PS_STEP_WORD
    auto& step = add(component, !refused                     ? "allowed"
                                : observe                    ? "would drop"
                                : action == PS_ACTION_REJECT ? "rejected"
                                                             : "denied");
    *step.mutable_by() = names_.rule(n.c, n.b, judging_direction(side), port_);
    step.mutable_by()->set_kind(component);
    step.set_object(step.by().name());
    step.set_text((step.by().number() == 0 ? fmt::format("default: {}", step.by().text())
                                           : fmt::format("rule {} \"{}\": {}", step.by().number(),
                                                         step.by().rule(), step.by().text())) +
                  (observe ? " (observe)" : ""));
    // What only observes decides nothing.
    if (!observe) judged_ = &step;
  }

  void limited(const ps_note& n) {
    take_side(n.index & 1);
    limited_ = &add("limits", "over the limit");
    *limited_->mutable_by() = names_.limit(n.c, n.b, port_);
    limited_->set_object(limited_->by().name());
    limited_->set_text(limited_->by().text());
  }

  // A reply is judged as the connection it belongs to, by the list of the other direction.
  int judging_direction(int side) const {
    for (int i = out_.steps_size() - 1; i >= 0; --i)
      if (out_.steps(i).component() == "conntrack")
        return out_.steps(i).flow() == "reply" ? 1 - side : side;
    return side;
  }

  void drop(ps_drop_reason reason) {
    const auto known = reason < drop_reasons().size() ? reason : PS_DROP_MALFORMED;
    const auto& info = drop_reasons()[known];
    if (dropped_) {  // the answer that a reject makes
      out_.set_answered(false);
      out_.set_end(v1::TraceReport::DROPPED);
      add("answer", "not sent").set_text(std::string(info.help));
      return;
    }
    out_.set_code(std::string(info.name));
    out_.set_reason(std::string(info.help));
    if (is_consumption(known)) {
      out_.set_end(v1::TraceReport::CONSUMED);
      if (known == PS_DROP_FLOODED)
        add("flood", "copied")
            .set_text(fmt::format("copies for {} NICs here and {} other hosts", copies_here_,
                                  copies_away_));
      else if (known != PS_DROP_PUNTED)
        add(component_of(known), "consumed").set_text(std::string(info.help));
      return;
    }
    dropped_ = true;
    out_.set_end(v1::TraceReport::DROPPED);
    const bool by_policy = known == PS_DROP_POLICY_DENY || known == PS_DROP_POLICY_REJECT ||
                           known == PS_DROP_FLOW_DENIED;
    if (by_policy && judged_ && judged_->has_by()) {
      judged_->set_decisive(true);
      judged_->set_folded(false);
      if (known == PS_DROP_FLOW_DENIED) judged_->set_action("denied");
      *out_.mutable_decided_by() = judged_->by();
      return;
    }
    if (limited_ && is_limit(known)) {
      limited_->set_decisive(true);
      *out_.mutable_decided_by() = limited_->by();
      return;
    }
    auto& step = add(component_of(known), "dropped");
    step.set_text(std::string(info.help));
    step.set_decisive(true);
    out_.mutable_decided_by()->set_kind("switch");
    out_.mutable_decided_by()->set_name(component_of(known));
  }

  void delivered(const ps_note& n) {
    receiver_ = n.b;
    take_side(PS_IN);
    out_.set_end(v1::TraceReport::DELIVERED);
    out_.set_port_id(n.b);
    quiet("delivery").set_text("to " + names_.nic(n.b));
  }

  void sent_on() {
    out_.set_end(v1::TraceReport::SENT_ON);
    out_.set_vtep(vtep_text(said_.to));
    out_.set_vni(said_.vni);
    auto& step = quiet("overlay");
    step.set_text("to the host at " + out_.vtep());
    step.set_next_hop(out_.vtep());
  }

  void answered(const ps_note& n) {
    out_.set_answered(true);
    out_.set_answer_goes_over_overlay(n.a == ~0U);
    if (dropped_) {
      out_.set_end(v1::TraceReport::REJECTED);
      return;
    }
    out_.set_end(v1::TraceReport::CONSUMED);
    out_.set_code(std::string(drop_reasons()[PS_DROP_ANSWERED].name));
    out_.set_reason(std::string(drop_reasons()[PS_DROP_ANSWERED].help));
    quiet("neighbours").set_text("answered by the switch");
  }
};

}  // namespace

std::string component_of(ps_drop_reason reason) {
  switch (reason) {
    case PS_DROP_SPOOFED_MAC:
    case PS_DROP_SPOOFED_ADDRESS:
    case PS_DROP_SPOOFED_ARP:
    case PS_DROP_SPOOFED_ND:
    case PS_DROP_ROGUE_RA:
    case PS_DROP_ROGUE_DHCP:
    case PS_DROP_FORGED_TUNNEL:
      return "anti-spoofing";
    case PS_DROP_ARP_UNKNOWN:
    case PS_DROP_ND_UNKNOWN:
    case PS_DROP_OWN_ADDRESS:
    case PS_DROP_ANSWERED:
      return "neighbours";
    case PS_DROP_UNKNOWN_MAC:
    case PS_DROP_NO_ROUTER:
    case PS_DROP_TO_SELF:
    case PS_DROP_PORT_GONE:
      return "forwarding";
    case PS_DROP_MALFORMED:
    case PS_DROP_VLAN:
    case PS_DROP_ETHERTYPE:
    case PS_DROP_FRAGMENT_EARLY:
    case PS_DROP_FRAGMENT_OVERLAP:
      return "parse";
    case PS_DROP_FLOW_DENIED:
      return "conntrack";
    case PS_DROP_POLICY_DENY:
    case PS_DROP_POLICY_REJECT:
    case PS_DROP_NOT_INSPECTED:
    case PS_DROP_BAD_POLICY:
      return "policy";
    case PS_DROP_RATE_LIMIT:
    case PS_DROP_CONNECTION_LIMIT:
    case PS_DROP_CONNECTION_RATE:
      return "limits";
    case PS_DROP_NO_TUNNEL:
      return "overlay";
    case PS_DROP_TOO_BIG:
      return "mtu";
    case PS_DROP_FLOODED:
    case PS_DROP_FLOOD_EMPTY:
    case PS_DROP_GROUP_MEMBERSHIP:
      return "flood";
    case PS_DROP_PUNTED:
    case PS_DROP_PUNT_FULL:
      return "responder";
    default:
      return "port";
  }
}

std::string TraceNames::nic(std::uint32_t port_id) const {
  if (const auto* port = intent.port(port_id)) return port->vm() + "/" + port->nic();
  return fmt::format("port {}", port_id);
}

bool TraceNames::observes(std::uint32_t number, std::uint32_t port_id) const {
  const auto* port = intent.port(port_id);
  return port && std::ranges::any_of(port->steps(), [&](const v1::StepIntent& step) {
           return step.observe() && switch_number(step.policy()) == number;
         });
}

v1::TraceDecision TraceNames::rule(std::uint32_t number, std::uint32_t rule, int direction,
                                   std::uint32_t port_id) const {
  v1::TraceDecision out;
  if (number == 0) return out;
  out.set_kind("filter");
  if (const auto* port = intent.port(port_id))
    for (const auto& step : port->steps())
      if (switch_number(step.policy()) == number) out.set_enablement(step.enablement());
  const auto* wanted = intent.policy_numbered(number);
  if (!wanted) {
    out.set_name(fmt::format("policy {}", number));
    return out;
  }
  const auto* held = policies.find(wanted->id());
  out.set_name(wanted->profile());
  out.set_level(wanted->level());
  const auto& filter = wanted->filter();
  if (rule == PS_NO_RULE) {
    out.set_rule("default");
    out.set_text(action_text(direction == PS_OUT ? filter.default_out() : filter.default_in()));
    return out;
  }
  const auto& index =
      held ? held->index[static_cast<std::size_t>(direction & 1)] : std::vector<std::uint32_t>{};
  if (rule >= index.size()) return out;
  out.set_number(index[rule] + 1);
  for (const auto& one : filter.rules()) {
    if (one.index() != index[rule]) continue;
    out.set_rule(one.name());
    out.set_text(rule_text(one, intent));
  }
  return out;
}

v1::TraceDecision TraceNames::limit(std::uint32_t number, std::uint32_t kind,
                                    std::uint32_t port_id) const {
  v1::TraceDecision out;
  out.set_kind("limit");
  const auto* port = intent.port(port_id);
  if (!port) return out;
  for (const auto& step : port->steps()) {
    if (switch_number(step.policy()) != number) continue;
    out.set_name(step.profile());
    out.set_level(step.level());
    out.set_enablement(step.enablement());
    out.set_rule("limit");
    const auto& limits = step.limits();
    out.set_text(
        kind == PS_LIMIT_RATE ? fmt::format("the level allows {} each way",
                                            bit_rate_text(limits.rate_bits_per_second()))
        : kind == PS_LIMIT_CONNECTIONS
            ? fmt::format("the level allows {} connections at a time", limits.connections())
            : fmt::format("the level allows {} new connections a second",
                          limits.connections_per_second()));
  }
  return out;
}

void tell(const ps_trace& said, const TraceNames& names, std::string_view evidence,
          v1::TraceReport& out) {
  Reader(said, names, evidence, out).read();
}

}  // namespace penstock::host
