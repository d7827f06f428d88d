// BPF_PROG_TEST_RUN has no tunnel device: `tunnelled` gives the frame the tunnel data it would have
// come with and goes on to the program in ps_next.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "tests/tunnelled/tunnelled.h"

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} ps_next SEC(".maps");

struct ps_tunnelled tunnel;

SEC("tc") int tunnelled(struct __sk_buff* skb) {
  struct bpf_tunnel_key key = {};
  key.tunnel_id = tunnel.vni;
  key.tunnel_ttl = 64;
  // The sender is the local end of the way out, as far as the kernel's tunnel data go.
  if (tunnel.family == 4)
    key.local_ipv4 = tunnel.sender4;
  else
    __builtin_memcpy(key.local_ipv6, tunnel.sender6, 16);
  if (tunnel.family &&
      bpf_skb_set_tunnel_key(skb, &key, sizeof(key), tunnel.family == 6 ? BPF_F_TUNINFO_IPV6 : 0))
    return -2;
  bpf_tail_call(skb, &ps_next, 0);
  return -3;
}

char program_license[] SEC("license") = "GPL";
