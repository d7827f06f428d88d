/* A link of a lab, seen from its end in the fabric: frames that leave that end go to the node,
   frames that arrive there come from it. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "link/abi.h"
#include "link/chance.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, LINK_WAYS);
  __type(key, __u32);
  __type(value, struct link_way);
} link_ways SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, LINK_WAYS);
  __type(key, __u32);
  __type(value, struct link_count);
} link_counts SEC(".maps");

static __always_inline int pass_link(struct __sk_buff* skb, __u32 direction) {
  struct link_way* way = bpf_map_lookup_elem(&link_ways, &direction);
  struct link_count* count = bpf_map_lookup_elem(&link_counts, &direction);
  __u64 again = direction == LINK_OUT ? BPF_F_INGRESS : 0;
  __u64 dice;

  if (!way || !count) return TC_ACT_UNSPEC;
  if (skb->mark == LINK_MARK_PASSED) {
    skb->mark = 0;
    return TC_ACT_UNSPEC;
  }
  dice = link_dice(way->seed, __sync_fetch_and_add(&count->frames, 1));
  __sync_fetch_and_add(&count->bytes, skb->len);
  if (link_loses(dice, way->loss)) {
    __sync_fetch_and_add(&count->lost, 1);
    return TC_ACT_SHOT;
  }
  if (link_duplicates(dice, way->duplicate)) {
    __sync_fetch_and_add(&count->duplicated, 1);
    if (way->relay) {
      bpf_clone_redirect(skb, way->relay, 0);
    } else {
      skb->mark = LINK_MARK_PASSED;
      bpf_clone_redirect(skb, way->port, again);
      skb->mark = 0;
    }
  }
  /* A relay that is gone takes its TAP along, and the frame is dropped: a dead wire is seen, a fast
   * one would not be. */
  return way->relay ? bpf_redirect(way->relay, 0) : TC_ACT_UNSPEC;
}

SEC("tc")
int link_in(struct __sk_buff* skb) {
  return pass_link(skb, LINK_IN);
}

SEC("tc")
int link_out(struct __sk_buff* skb) {
  return pass_link(skb, LINK_OUT);
}

/* On the TAPs: what the relay writes goes on from where it was taken. */
static __always_inline int come_back(struct __sk_buff* skb, __u32 direction) {
  struct link_way* way = bpf_map_lookup_elem(&link_ways, &direction);

  if (!way) return TC_ACT_SHOT;
  skb->mark = LINK_MARK_PASSED;
  return bpf_redirect(way->port, direction == LINK_OUT ? BPF_F_INGRESS : 0);
}

SEC("tc")
int link_in_back(struct __sk_buff* skb) {
  return come_back(skb, LINK_IN);
}

SEC("tc")
int link_out_back(struct __sk_buff* skb) {
  return come_back(skb, LINK_OUT);
}
