#include "server/handlers/system.h"

#include "server/explain.h"

namespace penstock {

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
