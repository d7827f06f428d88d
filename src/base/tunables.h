// Every duration, limit and queue length of the programs, by name, with its legal range. One X-macro list: the
// struct, the parser of `--set name=value`, the table of docs and the dice of the simulation come from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock {

// X(name, default, lowest, highest, unit and meaning)
#define PENSTOCK_TUNABLES(X)                                                                                  \
  X(store_txn_max_ops, 100, 1, 100, "operations in one store transaction (the etcd limit)")                   \
  X(store_txn_max_bytes, 1 << 20, 1 << 12, 1 << 20, "bytes in one store transaction")                         \
  X(store_history_revisions, 10'000, 16, 1'000'000, "revisions kept for watches before compaction")           \
  X(store_checkpoint_pages, 1'000, 16, 100'000, "log pages after which the store tidies up when it is idle")  \
  X(store_checkpoint_idle_ms, 500, 1, 60'000, "ms without a commit that count as idle for that")               \
  X(store_retry_ms, 100, 1, 60'000, "ms until the store is asked again when it could not answer")             \
  X(api_page_size, 500, 1, 10'000, "objects in one page of a list when the caller names no size")             \
  X(api_request_max_bytes, 4 << 20, 1 << 12, 64 << 20, "bytes of one API request body")                       \
  X(api_batch_max_items, 5'000, 1, 50'000, "objects in one batch request")                                    \
  X(api_wait_default_ms, 10'000, 1, 600'000, "ms that ?wait=applied waits when the caller names no deadline") \
  X(http_idle_ms, 60'000, 100, 3'600'000, "ms an HTTP client may take for its next request or for reading an answer") \
  X(http_connections_max, 1'024, 1, 65'536, "HTTP connections open at a time")                                \
  X(watch_history_max, 4'000, 16, 1'000'000, "changes kept in memory for watches that are taken up again")       \
  X(watch_queue_max, 10'000, 16, 1'000'000, "events a slow watcher may lag behind before it is cut off")      \
  X(watch_recheck_ms, 1'000, 1, 60'000, "ms after which a watch looks again whether its token is still good") \
  X(watch_status_ms, 20, 1, 60'000, "ms that changes of status are gathered before watchers are told")        \
  X(session_heartbeat_ms, 1'000, 10, 60'000, "ms between heartbeats of a host session")                       \
  X(session_lost_ms, 5'000, 50, 600'000, "ms without a sign of life until a host counts as away")             \
  X(session_in_flight_max, 8, 1, 1'000, "deltas a host may have unacknowledged before changes are gathered")   \
  X(session_coalesce_us, 0, 0, 1'000'000, "us that deltas are gathered before they are sent")                 \
  X(sessions_syncing_max, 32, 1, 10'000, "hosts that are sent their whole intent at a time: what that takes is in memory") \
  X(session_reconnect_min_ms, 100, 1, 60'000, "ms before the first reconnect of a host")                      \
  X(session_reconnect_max_ms, 5'000, 10, 600'000, "ms between reconnects of a host at most")                  \
  X(reconcile_retry_min_ms, 100, 1, 60'000, "ms before a failed step of a host is tried again")               \
  X(reconcile_retry_max_ms, 30'000, 10, 3'600'000, "ms between tries of a failing step at most")              \
  X(reconcile_batch, 64, 1, 100'000, "objects a host reconciles in one turn of its strand")                   \
  X(reconcile_audit_ms, 10'000, 100, 3'600'000, "ms between audits of desired against observed state")        \
  X(reconcile_look_ms, 20, 0, 60'000, "ms that news of devices and instances are gathered before a host looks")    \
  X(intent_persist_ms, 1'000, 1, 600'000, "ms that changes of a host's intent are gathered before its file is written") \
  X(arena_reclaim_ms, 5'000, 1, 3'600'000, "ms without a change until a host reclaims released policy memory") \
  X(trace_deadline_ms, 5'000, 100, 600'000, "ms a trace may take when the caller names no deadline")           \
  X(trace_live_deadline_ms, 10'000, 100, 600'000, "ms that a live trace waits for a packet when the caller names no deadline") \
  X(trace_grace_ms, 1'000, 10, 60'000, "ms after a packet until its arrival and its answer count as not seen")  \
  X(traces_max, 64, 1, 10'000, "traces under way at a time")                                                  \
  X(move_deadline_ms, 30'000, 100, 3'600'000, "ms a move of a VM may take until it is given up, its change-over excepted") \
  X(move_batch_flows, 2'000, 1, 100'000, "flow entries in one message of a move")                             \
  X(preview_deadline_ms, 2'000, 10, 60'000, "ms that a preview waits for the hosts to judge their live flows") \
  X(preview_examples, 5, 0, 100, "flows that a preview names at most, of each host")                          \
  X(counters_deadline_ms, 2'000, 10, 60'000, "ms that counters of hosts are waited for")                      \
  X(probe_deadline_ms, 1'000, 10, 60'000, "ms that a host waits for the answers of others to a probe of the underlay") \
  X(audit_records_kept, 10'000, 16, 10'000'000, "audit records kept in memory for `get audit`")               \
  X(audit_file_kib, 65'536, 64, 16'777'216, "KiB of the audit log after which it goes on in a new file; one old one is kept") \
  X(http_connections_per_user, 256, 1, 65'536, "HTTP connections of one user at a time")                      \
  X(http_connections_unknown, 64, 1, 65'536, "HTTP connections at a time of which none has shown a token that is good") \
  X(watches_per_user, 64, 1, 65'536, "watches of one user at a time")                                         \
  X(events_kept, 10'000, 16, 10'000'000, "events kept in memory for `get events`")                            \
  X(flow_entries, 262'144, 1'024, 16'777'216, "entries of a host's flow table")                               \
  X(flow_port_quota, 65'536, 16, 16'777'216, "flow entries one port may hold")                                \
  X(flow_sweep_ms, 5'000, 10, 3'600'000, "ms between sweeps that delete expired flow entries")                 \
  X(flow_tcp_new_s, 30, 1, 86'400, "s without a packet after which an unanswered TCP connection is forgotten")  \
  X(flow_tcp_answered_s, 60, 1, 86'400, "the same for one whose handshake is not complete")                   \
  X(flow_tcp_established_s, 86'400, 60, 864'000, "the same for an established one (RFC 5382: 7,440 or more)") \
  X(flow_tcp_closing_s, 120, 1, 86'400, "the same for one that one side has closed")                          \
  X(flow_tcp_closed_s, 10, 1, 3'600, "the same for one that is closed or was reset")                          \
  X(flow_udp_new_s, 30, 1, 86'400, "the same for an unanswered UDP or SCTP flow")                             \
  X(flow_udp_answered_s, 180, 1, 86'400, "the same for an answered one (RFC 4787: 120 or more)")              \
  X(flow_other_s, 30, 1, 86'400, "the same for ICMP and protocols without ports")                             \
  X(flow_denied_s, 60, 1, 86'400, "the same for a flow that a change of policy denied")                       \
  X(flow_fragment_s, 30, 1, 120, "s in which later fragments may follow the first (RFC 791: 15, RFC 8200: 60)") \
  X(flow_log_per_s, 1'000, 0, 1'000'000, "records of logged flows a second and CPU at most")                   \
  X(flow_log_gather_ms, 100, 1, 10'000, "ms in which records of logged flows are gathered for one message")    \
  X(flow_log_queue_max, 2'000, 1, 1'000'000, "records of logged flows that wait for the server at most")       \
  X(flow_records_kept, 10'000, 16, 10'000'000, "records of logged flows the server keeps in memory")           \
  X(rejects_per_s, 1'000, 0, 1'000'000, "resets and ICMP errors a second and CPU that the switch sends at most") \
  X(policy_arena_kib, 32'768, 256, 1'048'576, "KiB of compiled policy a host can hold")                       \
  X(rule_counters, 262'144, 1'024, 16'777'216, "rules of a host that are counted each by itself")               \
  X(ports_max, 4'096, 16, 65'536, "ports of a host's switch")                                                 \
  X(rules_per_step_max, 16'384, 64, 16'384, "classifier rows of one filter step")                             \
  X(flood_copies_max, 256, 1, 4'096, "copies the switch makes of one broadcast frame at most")                \
  X(netlink_gather_ms, 10, 1, 10'000, "ms in which further changes of links are told together")               \
  X(guest_lease_s, 3'600, 60, 604'800, "s that addresses given to a guest by DHCP are valid")                 \
  X(guest_ra_interval_s, 200, 4, 1'800, "s between router advertisements to a guest (RFC 4861: 4 to 1,800)")

struct Tunables {
#define PENSTOCK_TUNABLE_MEMBER(name, value, low, high, help) std::int64_t name = value;
  PENSTOCK_TUNABLES(PENSTOCK_TUNABLE_MEMBER)
#undef PENSTOCK_TUNABLE_MEMBER

  // "flow_entries=65536". Unknown name, not a number or out of range: kInvalidArgument with the range as hint.
  Status set(std::string_view assignment);
};

struct TunableInfo {
  std::string_view name;
  std::int64_t Tunables::*member;
  std::int64_t standard, lowest, highest;
  std::string_view help;
};
std::span<const TunableInfo> tunable_table();

}  // namespace penstock
