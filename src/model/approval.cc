#include "model/approval.h"

#include <algorithm>

#include "model/allocate.h"

namespace penstock {

using Decision = v1::ApprovalDecision;

bool in_force(const v1::Enablement& enablement) {
  const auto state = enablement.spec().approval().state();
  return state != Decision::ASKED && state != Decision::REFUSED;
}

bool may_decide(const v1::ServiceProfile& profile, const std::vector<std::string>& user_groups) {
  return std::ranges::any_of(profile.spec().approval().groups(), [&](const auto& group) {
    return std::ranges::find(user_groups, group) != user_groups.end();
  });
}

namespace {

void ask(Decision& approval, const AdmitContext& context) {
  approval.Clear();
  approval.set_state(Decision::ASKED);
  approval.set_asked_by(context.user);
  set_time(*approval.mutable_asked_at(), context.now);
}

void decide(Decision& approval, Decision::State state, const AdmitContext& context) {
  // The same answer again is no new one.
  if (approval.state() == state && approval.reason() == context.reason) return;
  approval.set_state(state);
  approval.set_decided_by(context.user);
  set_time(*approval.mutable_decided_at(), context.now);
  approval.set_reason(context.reason);
}

}  // namespace

void settle_approval(v1::Enablement& enablement, const v1::Enablement* before,
                     const v1::ServiceProfile& profile, const AdmitContext& context) {
  using Purpose = AdmitContext::Purpose;
  auto& spec = *enablement.mutable_spec();
  if (context.purpose == Purpose::kGrant || context.purpose == Purpose::kRefuse)
    return decide(*spec.mutable_approval(),
                  context.purpose == Purpose::kGrant ? Decision::GRANTED : Decision::REFUSED,
                  context);
  const bool asks = profile.spec().has_approval() && !context.user_is_administrator &&
                    !may_decide(profile, context.user_groups);
  const bool new_use =
      !before || before->spec().level() != spec.level() ||
      (context.user_is_administrator && spec.mandatory() && !before->spec().mandatory());
  if (!new_use && context.purpose != Purpose::kEnable) return;
  if (!asks) {
    if (in_force(enablement)) return;
    if (profile.spec().has_approval())
      decide(*spec.mutable_approval(), Decision::GRANTED, context);
    else
      spec.clear_approval();
  } else if (new_use || spec.approval().state() == Decision::REFUSED) {
    ask(*spec.mutable_approval(), context);
  }
}

}  // namespace penstock
