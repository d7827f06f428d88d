// What user space decides once, before the programs are loaded (rodata `ps_config`).
#ifndef PENSTOCK_ABI_CONFIG_H
#define PENSTOCK_ABI_CONFIG_H

#include "abi/flow.h"
#include "abi/types.h"

struct ps_config {
  __u64 tcp_timeout_ns[PS_FLOW_STATES];    // idle time after which an entry goes, by state
  __u64 udp_timeout_ns[PS_FLOW_STATES];    // and every other protocol with ports
  __u64 other_timeout_ns[PS_FLOW_STATES];  // ICMP and protocols without ports
  __u64 denied_timeout_ns;                 // entries refused when judged again
  __u64 fragment_timeout_ns;  // how long later fragments may follow the first (RFC 791: 15 s, RFC
                              // 8200: 60 s)
  __u32 port_flow_quota;
  __u32 flood_copies;   // at most, local and remote together
  __u32 events_per_s;   // of one CPU
  __u32 rejects_per_s;  // of one CPU
};
PS_CHECK_SIZE(ps_config, 8 * (3 * PS_FLOW_STATES + 2) + 16);

#endif
