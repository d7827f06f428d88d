#include "host/metrics.h"

#include <algorithm>

#include "base/metrics_text.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {

std::string host_metrics(const Agent& agent, Kernel& kernel, const Tunables& tunables,
                         const std::vector<std::uint64_t>& events, std::int64_t resident_bytes) {
  MetricsText text;
  const auto& reconciler = agent.reconciler();
  text.gauge("penstock_info", "Always 1; what runs here.");
  text.sample(std::int64_t{1},
              {{"program", "penstock-hostd"}, {"version", agent.options().version}});
  text.gauge("penstock_session_connected", "1: the server has spoken on the stream that is open.");
  text.sample(std::int64_t{agent.session().connected()});
  text.gauge("penstock_holding",
             "1: the switch holds something newer than the kept intent; it waits for the server.");
  text.sample(std::int64_t{agent.holding()});
  text.gauge("penstock_intent_revision", "Of the inventory this host was last told about.");
  text.sample(agent.intent().position().revision);
  text.gauge("penstock_intent_items", "Things this host should hold.");
  text.sample(static_cast<std::int64_t>(agent.intent().items().size()));
  text.gauge("penstock_troubles", "Of these, those that could not be applied.");
  text.sample(static_cast<std::int64_t>(reconciler.troubles().size()));
  text.gauge("penstock_ports", "Ports this host should have.");
  text.sample(std::ranges::count_if(
      agent.intent().items(), [](const auto& item) { return item.first.starts_with("60/port/"); }));
  text.gauge("penstock_ports_limit", "Ports the switch has room for.");
  text.sample(static_cast<std::int64_t>(tunables.ports_max));
  text.gauge("penstock_policy_bytes", "Of compiled policy.");
  text.sample(static_cast<std::int64_t>(reconciler.arena().lines_held() * Arena::kLineBytes));
  text.gauge("penstock_policy_bytes_limit", "Room for compiled policy.");
  text.sample(static_cast<std::int64_t>(kernel.arena_bytes()));
  if (const auto counters = kernel.counters()) {
    text.gauge("penstock_flows", "Entries of the flow table.");
    text.sample(static_cast<std::int64_t>(counters->flows));
    text.gauge("penstock_flows_limit", "Entries the flow table has room for.");
    text.sample(static_cast<std::int64_t>(tunables.flow_entries));
    text.counter("penstock_drops_total", "Packets kept back by the switch, by reason.");
    const auto reasons = drop_reasons();
    for (std::size_t i = 1; i < counters->drops.size() && i < reasons.size(); ++i)
      text.sample(static_cast<std::int64_t>(counters->drops[i]), {{"reason", reasons[i].name}});
  }
  text.counter("penstock_switch_events_total", "What else the switch counts.");
  const auto names = switch_counters();
  for (std::size_t i = 0; i < events.size() && i < names.size(); ++i)
    text.sample(static_cast<std::int64_t>(events[i]), {{"event", names[i].name}});
  if (resident_bytes > 0) {
    text.gauge("process_resident_memory_bytes", "Memory in use.");
    text.sample(resident_bytes);
  }
  return std::move(text).text();
}

}  // namespace penstock::host
