#include "server/handlers/approval.h"

#include <google/protobuf/util/message_differencer.h>

#include <fmt/ranges.h>

#include "model/approval.h"

namespace penstock {

using Decision = v1::ApprovalDecision;

namespace {

constexpr std::size_t kReasonMost = 1000;

std::string ago(const google::protobuf::Timestamp& then, WallTime now) {
  const auto now_s = std::chrono::duration_cast<std::chrono::seconds>(now.since_epoch).count();
  const auto seconds = std::max<std::int64_t>(0, now_s - then.seconds());
  if (seconds < 120) return fmt::format("{} s ago", seconds);
  if (seconds < 7'200) return fmt::format("{} min ago", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h ago", seconds / 3'600);
  return fmt::format("{} days ago", seconds / 86'400);
}

}  // namespace

std::string approval_text(const v1::ApprovalDecision& approval, WallTime now) {
  if (approval.state() == Decision::ASKED) return "asked " + ago(approval.asked_at(), now);
  const auto* what = approval.state() == Decision::GRANTED ? "granted" : "refused";
  return approval.reason().empty() ? fmt::format("{} {}", what, ago(approval.decided_at(), now))
                                   : fmt::format("{}: {}", what, approval.reason());
}

std::string needs_approval_text(const v1::ServiceProfile& profile) {
  const auto& groups = profile.spec().approval().groups();
  return groups.empty() ? "needs approval by an administrator"
                        : fmt::format("needs approval by {}", fmt::join(groups, ", "));
}

void note_approval(const v1::Enablement* before, const v1::Enablement& after, Write& write) {
  write.news.clear();
  write.news_reason = {};
  const auto& now = after.spec().approval();
  const auto what = fmt::format("{} ({})", after.spec().profile(), after.spec().level());
  if (before && google::protobuf::util::MessageDifferencer::Equals(before->spec().approval(), now))
    return;
  const auto because = now.reason().empty() ? "" : ": " + now.reason();
  switch (now.state()) {
    case Decision::ASKED:
      write.news_reason = "ApprovalAsked";
      write.news =
          fmt::format("{} asked for {}; it is not on until that is granted", now.asked_by(), what);
      return;
    case Decision::GRANTED:
      write.news_reason = "ApprovalGranted";
      write.news = fmt::format("{} granted {}{}", now.decided_by(), what, because);
      return;
    case Decision::REFUSED:
      write.news_reason = "ApprovalRefused";
      write.news = fmt::format("{} refused {}{}", now.decided_by(), what, because);
      return;
    default:
      return;
  }
}

Result<Planned> plan_decide(const PlanContext& context, const v1::DecideRequest& request,
                            Write& write) {
  const auto key = PENSTOCK_TRY(parse_key("Enablement", request.tenant(), request.name()));
  write.key = key;
  if (request.reason().size() > kReasonMost)
    return fail_field("reason",
                      fmt::format("{} bytes: at most {}", request.reason().size(), kReasonMost));
  const auto existing = context.snapshot.find<v1::Enablement>(key.tenant, key.name);
  PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kRead, key, existing.get()));
  if (!existing) return not_found(key);
  const auto profile = context.snapshot.find<v1::ServiceProfile>(existing->spec().profile());
  if (!profile) return not_found(key);
  if (!context.who.administrator() && !may_decide(*profile, context.who.groups))
    return fail(Code::kPermissionDenied,
                fmt::format("user {} may not decide about {}", context.who.name, key.describe()),
                needs_approval_text(*profile));
  if (existing->spec().approval().state() == Decision::STATE_UNSPECIFIED)
    return fail(Code::kFailedPrecondition,
                fmt::format("nobody asked for {}: it is on without approval", key.describe()),
                request.grant() ? "" : "switch it off: penstock disable");
  auto admitting = context.admit_context();
  admitting.purpose =
      request.grant() ? AdmitContext::Purpose::kGrant : AdmitContext::Purpose::kRefuse;
  admitting.reason = request.reason();
  auto proposed = *existing;
  proposed.mutable_metadata()->clear_resource_version();
  auto admission = PENSTOCK_TRY(admit(context.snapshot, proposed, admitting));
  write.object = admission.object;
  write.change = admission.changed ? v1::WriteOutcome::UPDATED : v1::WriteOutcome::UNCHANGED;
  const auto& after = static_cast<const v1::Enablement&>(*admission.object);
  note_approval(existing.get(), after, write);
  write.warnings = std::move(admission.warnings);
  if (request.grant())
    if (const auto obstacle = why_not_on_target(context.snapshot, *profile, after, std::nullopt);
        !obstacle.empty())
      write.warnings.push_back(fmt::format("since it was asked for, {} has become {}{}",
                                           profile->metadata().name(),
                                           obstacle.why.for_reader(context.who.administrator()),
                                           obstacle.vm.empty() ? "" : " for a VM of the target"));
  return Planned{std::move(admission.edits), false};
}

}  // namespace penstock
