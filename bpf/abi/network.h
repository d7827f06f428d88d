// A virtual network as one host sees it: where its MACs are, who answers for its addresses, who
// gets broadcasts.
#ifndef PENSTOCK_ABI_NETWORK_H
#define PENSTOCK_ABI_NETWORK_H

#include "abi/policy.h"
#include "abi/types.h"

// The underlay address of a host's tunnel end.
struct ps_vtep {
  __u8 family;  // 4 or 6
  __u8 zero[3];
  __u8 address[16];  // network order, IPv4 in the first four bytes
};
PS_CHECK_SIZE(ps_vtep, 20);

struct ps_endpoint_key {
  __u32 vni;
  __u8 mac[6];
  __u16 zero;
};
PS_CHECK_SIZE(ps_endpoint_key, 12);

enum ps_endpoint_kind {
  PS_ENDPOINT_LOCAL = 1,    // port of this host: `slot`
  PS_ENDPOINT_REMOTE = 2,   // behind `vtep`
  PS_ENDPOINT_GATEWAY = 3,  // the network's gateway address: answers ARP and ND, routes nothing yet
};

// Also says from where frames with this source MAC may come: a frame of the overlay is accepted
// only from `vtep` or `also`. A VM that moves is at two places for a while, because hosts learn of
// it one after the other.
struct ps_endpoint {
  __u32 kind;  // enum ps_endpoint_kind
  __u32 slot;
  __u32 port_id;        // deployment-wide, for what is shown; 0 for the gateway
  struct ps_vtep vtep;  // family 0: not on another host
  __u32 zero;
  struct ps_vtep also;  // where it was a moment ago; family 0: nowhere else
};
PS_CHECK_SIZE(ps_endpoint, 56);

struct ps_neighbor {
  __u8 mac[6];
  __u16 flags;  // enum ps_neighbor_flags
};
PS_CHECK_SIZE(ps_neighbor, 8);

enum ps_neighbor_flags {
  PS_NEIGHBOR_ROUTER =
      1 << 0,  // sets the R flag in neighbour advertisements (RFC 4861 section 4.4)
};

// Head-end copies. The lists may be longer than a host's limit (rodata flood_copies): the rest get
// none, counted.
#define PS_FLOOD_LOCAL_MAX 1024
#define PS_FLOOD_REMOTE_MAX 256
struct ps_flood {
  __u32 local_count;                // filled entries of `local`
  __u32 remote_count;               // filled entries of `remote`
  __u32 local[PS_FLOOD_LOCAL_MAX];  // slots
  struct ps_vtep remote[PS_FLOOD_REMOTE_MAX];
};
PS_CHECK_SIZE(ps_flood, 8 + 4 * PS_FLOOD_LOCAL_MAX + 20 * PS_FLOOD_REMOTE_MAX);

// Groups an address belongs to, for rules that name VM labels on either side. Read for a flow's
// first packet only. More groups than fit: user space refuses the object, the switch never sees a
// cut list.
struct ps_group_list {
  __u32 group[PS_MAX_GROUPS_PER_ADDRESS];  // ascending, 0 = none
};
PS_CHECK_SIZE(ps_group_list, 32);

#endif
