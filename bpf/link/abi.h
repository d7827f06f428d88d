/* What the programs of a link and src/lab/links share. */
#ifndef PENSTOCK_LINK_ABI_H
#define PENSTOCK_LINK_ABI_H

#include <linux/types.h>

/* The two directions, seen from the node at the end of the link. */
enum { LINK_IN, LINK_OUT, LINK_WAYS };

#define LINK_CERTAIN 1000000 /* chances are parts per million */

struct link_way {
  __u64 seed;
  __u32 loss;      /* ppm */
  __u32 duplicate; /* ppm */
  __u32 relay;     /* ifindex of the TAP frames wait behind; 0: they do not wait */
  __u32 port;      /* ifindex of the link's end in the fabric */
};

struct link_count {
  __u64 frames; /* that came to the link; also the number of the next one, for the dice */
  __u64 bytes;
  __u64 lost;
  __u64 duplicated;
};

/* On frames that are past the dice: copies, and those that come back from the relay. */
#define LINK_MARK_PASSED 0x70736c6b

#ifdef __cplusplus
static_assert(sizeof(link_way) == 24 && sizeof(link_count) == 32);
#endif

#endif
