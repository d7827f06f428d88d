#include "server/handlers/system.h"

#include <algorithm>

#include "server/explain.h"

namespace penstock {
namespace {

// They say where a packet went, not that something is wrong.
constexpr std::string_view kConsumed[] = {"own_address", "group_membership", "flood_empty",
                                          "punted",      "answered",         "flooded"};

// The drops that grow, the fastest first, at most five.
void add_growing_drops(const Snapshot& snapshot, const HostSessions& sessions,
                       v1::StatusResponse& response) {
  std::vector<std::tuple<double, std::string, std::string>> growing;
  snapshot.each<v1::Host>([&](const v1::Host& host) {
    const auto& name = host.metadata().name();
    const auto* view = sessions.view(name);
    if (!view || !view->connected) return;
    for (const auto& [reason, per_s] : view->drops_per_s)
      if (std::ranges::find(kConsumed, reason) == std::end(kConsumed))
        growing.emplace_back(-per_s, name, reason);
  });
  std::ranges::sort(growing);
  auto& condition = *response.add_conditions();
  condition.set_type("DropsGrowing");
  condition.set_status(growing.empty() ? v1::Condition::FALSE : v1::Condition::TRUE);
  condition.set_reason(growing.empty() ? "None" : "Growing");
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(growing.size(), 5); ++i) {
    const auto& [rate, host, reason] = growing[i];
    text += fmt::format("{}{}: {} {:.1f}/s", text.empty() ? "" : ", ", host, reason, -rate);
  }
  if (growing.size() > 5) text += fmt::format(", {} more", growing.size() - 5);
  condition.set_message(text);
}

}  // namespace

v1::StatusResponse server_status(const ReadContext& context, const HostSessions& sessions) {
  v1::StatusResponse response;
  const auto& snapshot = context.snapshot;
  response.set_revision(snapshot.revision());
  auto& ready = *response.add_conditions();
  ready.set_type("Ready");
  ready.set_status(v1::Condition::TRUE);
  ready.set_reason("Serving");
  if (!context.who.administrator()) return response;
  for (const auto& kind : kinds())
    if (const auto count = snapshot.count(kind); count > 0)
      (*response.mutable_objects())[kind.plural] = static_cast<int>(count);
  add_growing_drops(snapshot, sessions, response);
  snapshot.each<v1::Host>([&](const v1::Host& host) {
    const auto& name = host.metadata().name();
    auto& shown = *response.add_hosts();
    const auto* view = sessions.view(name);
    shown.set_host(name);
    shown.set_applied_revision(view ? view->applied_revision : 0);
    if (!view || !view->connected) {
      shown.set_state(v1::HostRollout::UNREACHABLE);
      const bool ahead = view && !view->ahead.empty();
      shown.set_message(ahead ? view->ahead : "no session");
      response.add_problems(ahead ? view->ahead : fmt::format("host {} is away", name));
    } else if (!view->not_ready.empty()) {
      const auto& [key, first] = *view->not_ready.begin();
      shown.set_state(v1::HostRollout::FAILED);
      shown.set_message(fmt::format("{}: {}", key, first.message()));
      response.add_problems(fmt::format("host {}: {} not applied: {}", name, key, first.message()));
    } else {
      shown.set_state(view->in_step ? v1::HostRollout::APPLIED : v1::HostRollout::PENDING);
    }
  });
  return response;
}

Result<v1::ExplainResponse> explain_object(const ReadContext& context, const HostSessions& sessions,
                                           Compiler& compiler, const v1::ExplainRequest& request) {
  const auto key = PENSTOCK_TRY(parse_key(request.kind(), request.tenant(), request.name()));
  const auto object = context.snapshot.find(key);
  PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kRead, key, object.get()));
  if (!object) return not_found(key);
  return Explainer(context, sessions, compiler).explain(key, *object);
}

}  // namespace penstock
