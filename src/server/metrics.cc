#include "server/metrics.h"

#include <algorithm>

#include "base/metrics_text.h"

namespace penstock {
namespace {

void hosts(MetricsText& text, const MetricsOf& of) {
  std::int64_t connected = 0, away = 0, lagging = 0, most_lag = 0, flows = 0, troubles = 0;
  std::map<std::string, std::int64_t> drops;
  const auto& head = of.engine.head();
  head.each<v1::Host>([&](const v1::Host& host) {
    const auto& name = host.metadata().name();
    const auto* view = of.sessions.view(name);
    if (view)
      for (const auto& [reason, packets] : view->drops) drops[reason] += packets;
    if (!view || !view->connected) {
      ++away;
      return;
    }
    ++connected;
    flows += view->flows;
    troubles += static_cast<std::int64_t>(view->not_ready.size());
    if (of.sessions.in_step(name)) return;
    ++lagging;
    most_lag = std::max(most_lag, head.revision() - view->applied_revision);
  });
  text.gauge("penstock_hosts", "Hosts by whether they have a session.");
  text.sample(connected, {{"state", "connected"}});
  text.sample(away, {{"state", "away"}});
  text.gauge("penstock_hosts_lagging",
             "Connected hosts that have not acknowledged all they were sent.");
  text.sample(lagging);
  text.gauge("penstock_host_lag_revisions_max", "Revisions that the last of these is behind.");
  text.sample(most_lag);
  text.gauge("penstock_host_not_ready_items",
             "Items that hosts could not apply, all hosts together.");
  text.sample(troubles);
  text.gauge("penstock_flows", "Entries of flow tables, all hosts together.");
  text.sample(flows);
  text.counter("penstock_drops_total",
               "Packets kept back by the switches, by reason, all hosts together.");
  for (const auto& [reason, packets] : drops) text.sample(packets, {{"reason", reason}});
}

}  // namespace

std::string server_metrics(const MetricsOf& of) {
  MetricsText text;
  text.gauge("penstock_info", "Always 1; what runs here.");
  text.sample(std::int64_t{1}, {{"program", "penstockd"}, {"version", of.version}});
  text.gauge("penstock_serving", "1: changes are accepted.");
  text.sample(std::int64_t{of.engine.serving() && of.audit.accepts().has_value()});
  text.gauge("penstock_revision", "Of the inventory.");
  text.sample(of.engine.head().revision());
  text.gauge("penstock_epoch", "Starts of servers on this store.");
  text.sample(of.engine.epoch());
  text.gauge("penstock_objects", "Objects in the inventory, by kind.");
  for (const auto& kind : kinds())
    if (!kind.read_only)
      text.sample(static_cast<std::int64_t>(of.engine.head().count(kind)), {{"kind", kind.plural}});
  hosts(text, of);
  text.counter("penstock_api_answers_total", "Answers of the API, by method and code.");
  for (const auto& [key, count] : of.answers)
    text.sample(count, {{"method", key.first}, {"code", key.second}});
  text.histogram("penstock_commit_seconds", "From a batch of changes to its place in the store.",
                 of.engine.commit_latency());
  text.gauge("penstock_watches", "Watches that are open.");
  text.sample(static_cast<std::int64_t>(of.watches.size()));
  text.counter("penstock_audit_records_total", "Records of the audit log.");
  text.sample(of.audit.counts().records);
  text.counter("penstock_audit_failures_total", "Writes of the audit log that failed.");
  text.sample(of.audit.counts().failures);
  if (of.resident_bytes > 0) {
    text.gauge("process_resident_memory_bytes", "Memory in use.");
    text.sample(of.resident_bytes);
  }
  return std::move(text).text();
}

}  // namespace penstock
