// Why packets are dropped, and what else is counted. One list each: the switch, the CLI, metrics
// and docs share it. Numbers are positions; entries are appended, never reordered (counters outlive
// programs).
#ifndef PENSTOCK_ABI_REASONS_H
#define PENSTOCK_ABI_REASONS_H

#include "abi/types.h"

// X(NAME, name, meaning and remedy)
#define PS_DROP_REASONS(X)                                                                         \
  X(NONE, none, "not dropped")                                                                     \
  X(NO_PORT, no_port,                                                                              \
    "the device is not a port of the switch (yet): its port entry is missing or being removed")    \
  X(MALFORMED, malformed, "the frame ends inside a header, or a header contradicts itself")        \
  X(VLAN, vlan, "the VM sent a VLAN tag; ports carry untagged frames")                             \
  X(ETHERTYPE, ethertype, "neither IPv4, IPv6 nor ARP: no rule could judge it")                    \
  X(SPOOFED_MAC, spoofed_mac,                                                                      \
    "source MAC is not that of the NIC; check bonding, bridges or nested VMs in the guest")        \
  X(SPOOFED_ADDRESS, spoofed_address,                                                              \
    "source IP is not an address of the NIC; add it to the NIC or fix the guest")                  \
  X(SPOOFED_ARP, spoofed_arp, "ARP sender is not the NIC's own MAC and IP")                        \
  X(SPOOFED_ND, spoofed_nd, "neighbour discovery claims a MAC or IP that is not the NIC's own")    \
  X(ROGUE_RA, rogue_ra, "the VM sent a router advertisement or redirect without being a router")   \
  X(ROGUE_DHCP, rogue_dhcp, "the VM answered as a DHCP server without being a DHCP service")       \
  X(ARP_UNKNOWN, arp_unknown, "ARP request for an address that nobody in the network has")         \
  X(ND_UNKNOWN, nd_unknown,                                                                        \
    "neighbour solicitation for an address that nobody in the network has")                        \
  X(OWN_ADDRESS, own_address,                                                                      \
    "ARP or ND probe or announcement of the NIC's own address: consumed, nobody needs it")         \
  X(GROUP_MEMBERSHIP, group_membership,                                                            \
    "IGMP or MLD report: consumed, the switch floods without snooping")                            \
  X(UNKNOWN_MAC, unknown_mac,                                                                      \
    "no NIC of the network has the destination MAC; stale ARP entry in the guest?")                \
  X(NO_ROUTER, no_router, "addressed to the network's gateway, which routes nothing")              \
  X(TO_SELF, to_self, "the VM sent a frame to its own MAC, or it would leave where it came from")  \
  X(POLICY_DENY, policy_deny,                                                                      \
    "a rule or default action of an enabled service denies it; see the event or trace")            \
  X(POLICY_REJECT, policy_reject,                                                                  \
    "a rule rejects it; the sender got a TCP reset or an ICMP error")                              \
  X(FLOW_DENIED, flow_denied, "belongs to a flow that a changed policy denied")                    \
  X(NOT_INSPECTED, not_inspected,                                                                  \
    "the policy demands inspection and a required step has not run: a bypass")                     \
  X(BAD_POLICY, bad_policy,                                                                        \
    "the step list or policy image is damaged or of a newer kind; the port fails closed")          \
  X(FRAGMENT_EARLY, fragment_early,                                                                \
    "a later IP fragment came before the first one, or the first was dropped")                     \
  X(FRAGMENT_OVERLAP, fragment_overlap,                                                            \
    "a TCP fragment that could overwrite a judged header (RFC 1858)")                              \
  X(FLOOD_EMPTY, flood_empty,                                                                      \
    "broadcast or multicast in a network without other members: nobody to copy to")                \
  X(PUNT_FULL, punt_full,                                                                          \
    "DHCP or router solicitation lost: the host's responder does not keep up or is away")          \
  X(PUNTED, punted, "DHCP or router solicitation handed to the host's responder: consumed")        \
  X(NO_TUNNEL, no_tunnel,                                                                          \
    "frame on the overlay device without tunnel data, or sending over the overlay failed")         \
  X(PORT_GONE, port_gone, "the destination's port is being removed")                               \
  X(TOO_BIG, too_big, "larger than the network's MTU; the sender got an ICMP error")               \
  X(DELIVERY, delivery, "the kernel refused to change or send the frame")                          \
  X(ANSWERED, answered, "ARP request or neighbour solicitation answered by the switch: consumed")  \
  X(FLOODED, flooded, "broadcast or multicast: copied to its receivers, the original is consumed") \
  X(FORGED_TUNNEL, forged_tunnel,                                                                  \
    "came over the underlay from an address that is not the host of the sender's MAC: forged, or " \
    "this host has not yet heard of the VM or of its move")                                        \
  X(RATE_LIMIT, rate_limit,                                                                        \
    "over the bits a second that the level of a service allows the NIC in this direction; a "      \
    "higher "                                                                                      \
    "level allows more")                                                                           \
  X(CONNECTION_LIMIT, connection_limit,                                                            \
    "the NIC holds as many connections as the level of a service allows; it goes on when some "    \
    "have "                                                                                        \
    "ended, or with a higher level")                                                               \
  X(CONNECTION_RATE, connection_rate,                                                              \
    "the NIC opens connections faster than the level of a service allows; tried again they come "  \
    "through")

enum ps_drop_reason {
#define PS_DROP_MEMBER(NAME, name, help) PS_DROP_##NAME,
  PS_DROP_REASONS(PS_DROP_MEMBER)
#undef PS_DROP_MEMBER
      PS_DROP_REASON_COUNT
};

// Only says where a frame went (answered, punted, copied), not that something is wrong.
static inline int ps_is_consumption(__u32 reason) {
  return reason == PS_DROP_NONE || reason == PS_DROP_OWN_ADDRESS ||
         reason == PS_DROP_GROUP_MEMBERSHIP || reason == PS_DROP_PUNTED ||
         reason == PS_DROP_ANSWERED || reason == PS_DROP_FLOODED;
}

// X(NAME, name, meaning)
#define PS_COUNTERS(X)                                                                             \
  X(FLOW_CREATED, flow_created, "flow entries made")                                               \
  X(FLOW_EXPIRED, flow_expired, "flow entries deleted by the sweep")                               \
  X(FLOW_REJUDGED, flow_rejudged, "flows judged again after a policy change")                      \
  X(FLOW_PICKED_UP, flow_picked_up, "TCP connections met mid-stream")                              \
  X(FLOW_TABLE_FULL, flow_table_full,                                                              \
    "new flows judged but not remembered: the flow table is full")                                 \
  X(FLOW_QUOTA, flow_quota, "new flows judged but not remembered: the port's quota is used up")    \
  X(FLOW_REUSED, flow_reused, "hits refused because the entry had been deleted and reused")        \
  X(CLASSIFIED, classified, "packets judged by the step list")                                     \
  X(FRAGMENT_TRACKED, fragment_tracked, "first fragments remembered")                              \
  X(RELATED, related, "ICMP errors passed because of the flow they are about")                     \
  X(ARP_ANSWERED, arp_answered, "ARP requests answered by the switch")                             \
  X(ND_ANSWERED, nd_answered, "neighbour solicitations answered by the switch")                    \
  X(PUNTED, punted, "packets handed to the host's responder")                                      \
  X(FLOOD_COPIES, flood_copies, "copies made of broadcast and multicast frames")                   \
  X(FLOOD_CAPPED, flood_capped, "receivers that got no copy because of the limit on copies")       \
  X(REJECT_SENT, reject_sent, "TCP resets and ICMP errors sent")                                   \
  X(REJECT_LIMITED, reject_limited, "resets and ICMP errors not sent because of their rate limit") \
  X(LOGGED, logged, "events written")                                                              \
  X(LOG_LOST, log_lost, "events lost: rate limit, or the reader does not keep up")                 \
  X(REMOTE, remote, "packets sent to another host")                                                \
  X(OBSERVED, observed, "packets an observing step would have dropped")

enum ps_counter {
#define PS_COUNTER_MEMBER(NAME, name, help) PS_COUNT_##NAME,
  PS_COUNTERS(PS_COUNTER_MEMBER)
#undef PS_COUNTER_MEMBER
      PS_COUNTER_COUNT
};

struct ps_drop_count {
  __u64 packets;
  __u64 bytes;
};
PS_CHECK_SIZE(ps_drop_count, 16);

#endif
