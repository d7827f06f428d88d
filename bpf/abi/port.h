// A port: one virtual NIC on this host.
#ifndef PENSTOCK_ABI_PORT_H
#define PENSTOCK_ABI_PORT_H

#include "abi/counts.h"
#include "abi/limits.h"
#include "abi/types.h"

enum ps_port_flags {
  PS_PORT_PEER =
      1 << 0,  // veth whose other end is in another namespace: deliver by bpf_redirect_peer
  PS_PORT_ANY_MAC = 1 << 1,      // a profile says so: source MAC not checked
  PS_PORT_ANY_ADDRESS = 1 << 2,  // a profile says so: source IP, ARP and ND senders not checked
  PS_PORT_DHCP_SERVER = 1 << 3,  // may send DHCP server replies (a DHCP service)
  PS_PORT_ROUTER = 1 << 4,       // may send router advertisements and redirects
  PS_PORT_PUNT_DHCP = 1 << 5,    // the host answers its DHCPv4 and DHCPv6 requests (ps_punt)
  PS_PORT_PUNT_RS = 1 << 6,      // the host answers its router solicitations (ps_punt)
  PS_PORT_NO_FLOOD = 1 << 7,     // a service port: its broadcasts are not copied to others
};

// 128 bytes: what every packet reads is in the first 64. Written by user space through the mapping,
// field by field; `port_id` last when a slot comes into use and first (to 0) when it goes out of
// use.
//
// `policy[direction]` = generation << 32 | arena line of the step list (abi/steps.h). Line 0: no
// service in that direction. Enabling is one atomic 8-byte store; the generation differs from every
// one the port had before, so that flows judged earlier are judged again by their first tuple.
struct ps_port {
  __u64 policy[2];  // [PS_OUT], [PS_IN]
  __u32 port_id;    // unique in the deployment; 0: slot not in use
  __u32 ifindex;    // of the host-side device
  __u32 vni;        // network; 24 bits
  __u32 flags;      // enum ps_port_flags
  __u8 mac[6];
  __u16 mtu;    // of the network, IP bytes; 0: not checked
  __u8 ip4[4];  // first IPv4 address, a copy of one in ps_addresses; 0.0.0.0: none
  __u16 zone;   // flow zone; 0 today, so that equal tuples of one port may differ by service later
  __u16 limited;  // PS_LIMITED of the kinds in `limits` that hold; 0: nobody looks there
  __u8 ip6[16];   // first global IPv6 address, a copy of one in ps_addresses; ::: none
  struct ps_limits limits;
  __u8 reserved[8];
};
PS_CHECK_SIZE(ps_port, 128);

#define PS_POLICY(generation, line) ((__u64)(generation) << 32 | (__u32)(line))
#define PS_POLICY_LINE(policy) ((__u32)(policy))
#define PS_POLICY_GENERATION(policy) ((__u32)((policy) >> 32))

// Key of everything looked up by address. An IPv4 address lies in the first four bytes, the rest
// are zero.
struct ps_address_key {
  __u32 scope;  // port id or vni, see abi/maps.h
  __u8 family;  // 4 or 6
  __u8 zero[3];
  __u8 address[16];  // network order
};
PS_CHECK_SIZE(ps_address_key, 24);

struct ps_allowed {
  __u32 zero;
};
PS_CHECK_SIZE(ps_allowed, 4);

// Entries of ps_flows a port holds. Belongs to the port while `port_id` is that of the slot.
// Written in BPF only.
struct ps_port_flows {
  __u32 port_id;  // with `entries` one aligned word, which is how a new port begins
  __u32 entries;
  __u32 outside;  // of them, made by packets to the VM (PS_FLOW_FROM_OUTSIDE)
  __u32 zero;
};
PS_CHECK_SIZE(ps_port_flows, 16);

#endif
