#include "server/trace_view.h"

#include <algorithm>

#include <fmt/format.h>

#include "server/authorize.h"

namespace penstock {
namespace {

// More names than this help nobody.
constexpr int kNamesMost = 4;

bool has_role(const google::protobuf::RepeatedPtrField<v1::RoleBinding>& roles, v1::Role role,
              const std::string& tenant = {}) {
  return std::ranges::any_of(roles, [&](const auto& binding) {
    return binding.role() == role && binding.tenant() == tenant;
  });
}

class ShownTrace {
 public:
  ShownTrace(const Snapshot& snapshot, const Identity& who, const std::string& tenant,
             v1::Trace& trace)
      : snapshot_(snapshot), who_(who), tenant_(tenant), trace_(trace) {}

  void show() {
    if (trace_.has_decided_by()) who_may_change(*trace_.mutable_decided_by());
    if (trace_.reply().has_decided_by())
      who_may_change(*trace_.mutable_reply()->mutable_decided_by());
    hints();
    hide(*trace_.mutable_steps(), trace_.mutable_decided_by());
    if (trace_.has_reply())
      hide(*trace_.mutable_reply()->mutable_steps(), trace_.mutable_reply()->mutable_decided_by());
    if (trace_.decided_by().kind().empty()) trace_.clear_decided_by();
    if (trace_.reply().decided_by().kind().empty() && trace_.has_reply())
      trace_.mutable_reply()->clear_decided_by();
    if (who_.administrator()) return;
    trace_.set_at(place(trace_.at()));
    if (trace_.has_reply()) {
      trace_.mutable_reply()->set_at(place(trace_.reply().at()));
      trace_.mutable_reply()->set_from(place(trace_.reply().from()));
    }
    trace_.mutable_as_of()->clear_hosts();
    trace_.add_redacted("hosts");
    trace_.add_redacted("underlay");
    if (receiver_hidden_) trace_.add_redacted("receiver");
  }

 private:
  const Snapshot& snapshot_;
  const Identity& who_;
  const std::string& tenant_;
  v1::Trace& trace_;
  bool receiver_hidden_ = false;

  // Rules are the profile's, which administrators make.
  void who_may_change(v1::TraceDecision& decision) const {
    if (decision.kind() == "switch") return;
    if (!who_.administrator()) {
      decision.add_may_change("administrators");
    } else {
      snapshot_.each<v1::Group>([&](const v1::Group& group) {
        if (has_role(group.spec().roles(), v1::ADMINISTRATOR) &&
            decision.may_change_size() < kNamesMost)
          decision.add_may_change("group:" + group.metadata().name());
      });
      snapshot_.each<v1::User>([&](const v1::User& user) {
        if (has_role(user.spec().roles(), v1::ADMINISTRATOR) && !user.spec().disabled() &&
            decision.may_change_size() < kNamesMost)
          decision.add_may_change("user:" + user.metadata().name());
      });
    }
  }

  // A NIC by its name when it is theirs to know; a host by nothing.
  std::string place(const std::string& at) const {
    if (at.find('/') == std::string::npos) return {};
    return may_see(at) ? at : "the receiver";
  }

  bool may_see(const std::string& port) const {
    const auto slash = port.find('/');
    if (slash == std::string::npos) return false;
    const auto key = ObjectKey::of<v1::VirtualMachine>(tenant_, port.substr(0, slash));
    const auto vm = snapshot_.find(key);
    return vm && may_read(snapshot_, who_, key, vm.get());
  }

  void hide(google::protobuf::RepeatedPtrField<v1::TraceStep>& steps, v1::TraceDecision* decision) {
    if (who_.administrator()) return;
    for (auto& step : steps) {
      step.clear_host();
      step.clear_next_hop();
      if (step.component() == "overlay" || step.component() == "underlay")
        step.set_text("to another host");
      if (step.port().empty() || may_see(step.port())) continue;
      // That its VM is there, the caller knows: the packet is for it. What protects it is not
      // theirs.
      receiver_hidden_ = true;
      step.set_port("the receiver");
      step.clear_object();
      step.clear_text();
      step.clear_by();
      if (step.decisive()) decision->Clear(), decision->set_kind("receiver");
    }
  }

  void hints() {
    const auto& decided =
        trace_.has_decided_by() ? trace_.decided_by() : trace_.reply().decided_by();
    const auto vm = trace_.from().substr(0, trace_.from().find('/'));
    const bool by_service = decided.kind() == "filter" || decided.kind() == "limit";
    if (trace_.disposition() == v1::UNKNOWN || trace_.disposition() == v1::LOST) {
      trace_.add_hints(who_.administrator()
                           ? "penstock status"
                           : fmt::format("penstock explain vm {}/{}", tenant_, vm));
    } else if (by_service && who_.administrator()) {
      trace_.add_hints(decided.number() == 0
                           ? fmt::format("penstock explain profile {}", decided.name())
                           : fmt::format("penstock describe profile {} --rule {}", decided.name(),
                                         decided.number()));
    } else if (by_service) {
      trace_.add_hints(fmt::format("penstock catalog --tenant {} --vm {}", tenant_, vm));
    } else if (decided.kind() == "switch") {
      trace_.add_hints(fmt::format("penstock describe vm {}/{}", tenant_, vm));
    } else {
      trace_.add_hints(fmt::format("penstock explain vm {}/{}", tenant_, vm));
    }
  }
};

}  // namespace

void show_trace(const Snapshot& snapshot, const Identity& who, const std::string& tenant,
                v1::Trace& trace) {
  ShownTrace(snapshot, who, tenant, trace).show();
}

}  // namespace penstock
