/* A compiled policy ("image") as it lies in the arena, and what goes into and comes out of its
 * evaluation.
 *
 * The arena is one array of 64-byte lines. Every reference inside an image is a line number
 * relative to the image's first line, so an image is position-independent; 0 means "none" (line 0
 * is the header). Numbers are in the host's byte order, addresses in network order. Unused bytes
 * are zero, except the keys that fill up a search block (~0).
 *
 * One image holds up to two classifiers, one an address family. A classifier's rules are rows (one
 * prefix or group on each side, one protocol, one port range on each side). Rows are stored "dense"
 * rows first, each part in rule order. A row is found in exactly one way: by the list of the
 * interval or group it pivots on, by the list that is always checked, or (dense rows) by the
 * intersection of bit vectors. Each of these only proposes; the row's own record decides. See
 * bpf/lib/classify.h for the evaluation, src/compile/policy for the builder and the decoder. */
#ifndef PENSTOCK_ABI_POLICY_H
#define PENSTOCK_ABI_POLICY_H

#include <linux/types.h>

#ifdef __cplusplus
#define PS_ABI_ASSERT(condition) static_assert(condition, #condition)
#else
#define PS_ABI_ASSERT(condition) _Static_assert(condition, #condition)
#endif

#define PS_POLICY_MAGIC 0x31504350u /* "PCP1" in memory on a little-endian host */
#define PS_POLICY_VERSION 2

#define PS_LINE_BYTES 64
#define PS_MAX_GROUPS_PER_ADDRESS 8
#define PS_MAX_ROWS 16384      /* rows of one family in one image */
#define PS_MAX_RULES 32768     /* rules of one image */
#define PS_MAX_LIST 16         /* rows in one list */
#define PS_ROWS_PER_LINE 512   /* dense rows that one line of a bit vector covers */
#define PS_MAX_VECTOR_LINES 32 /* PS_MAX_ROWS / PS_ROWS_PER_LINE */
#define PS_MAX_DIMENSIONS 12   /* point dimensions of one classifier */
#define PS_MAX_TREE_LEVELS 4
#define PS_TREE_KEYS 16 /* keys of a search block; a block has one child more */
#define PS_NO_RULE 0xffffffffu

enum ps_action {
  PS_ACTION_ALLOW = 0,
  PS_ACTION_DENY = 1,   /* drop in silence */
  PS_ACTION_REJECT = 2, /* drop and tell the sender: TCP RST or ICMP administratively prohibited */
};

/* A verdict byte: the action in the low two bits, and these. */
#define PS_VERDICT_ACTION 0x03
#define PS_VERDICT_LOG 0x04
#define PS_VERDICT_STATELESS 0x08 /* make no flow entry: replies need a rule of their own */

/* An address as the wire has it; IPv4 in the first four bytes, the rest zero. */
union ps_address {
  __u8 b[16];
  __be32 w[4];
  __be64 d[2];
};

#define PS_VIEW_PORTS_VALID 0x01 /* sport and dport were read from this packet (or its flow) */
#define PS_VIEW_FRAGMENT_LATER \
  0x02 /* no transport header here: ports, ICMP type and TCP flags are unknown */

/* What the classifier sees of a packet. Fields that do not apply are zero. */
struct ps_packet_view {
  union ps_address src, dst;
  __u32 src_groups[PS_MAX_GROUPS_PER_ADDRESS]; /* ids, filled from the front; 0 ends the list */
  __u32 dst_groups[PS_MAX_GROUPS_PER_ADDRESS];
  __u16 sport, dport; /* host order */
  __u8 family;        /* 4 or 6 */
  __u8 proto;         /* IPv4 protocol, or the last IPv6 next header */
  __u8 tcp_flags;     /* byte 13 of the TCP header */
  __u8 icmp_type, icmp_code;
  __u8 flags; /* PS_VIEW_* */
  __u8 reserved[6];
};
PS_ABI_ASSERT(sizeof(struct ps_packet_view) == 112);

/* The answer. Callers on BPF must zero it first: 6.1 wants memory given to a global function
 * initialised. */
struct ps_match {
  __u32 rule;   /* index in the RuleSet the image was built from, PS_NO_RULE: no rule matched */
  __u8 matched; /* 0: the default action was taken */
  __u8 action;  /* enum ps_action; DENY when the image is unreadable */
  __u8 flags;   /* PS_VERDICT_LOG, PS_VERDICT_STATELESS */
  __u8 error;   /* 1: the image is unreadable (out of range or not a policy) */
};
PS_ABI_ASSERT(sizeof(struct ps_match) == 8);

/* ---- the image ---- */

/* Line 0. */
struct ps_policy_header {
  __u32 magic;
  __u16 version;
  __u8 default_verdict; /* verdict byte when no rule matches */
  __u8 reserved0;
  __u32 lines;          /* length of the image, this line included */
  __u32 rules;          /* rules of the rule set */
  __u32 verdicts_line;  /* one verdict byte a rule */
  __u32 family_line[2]; /* struct ps_family of IPv4, IPv6; 0: no rule applies to that family */
  __u8 reserved[36];
};

/* One line a family. */
struct ps_family {
  __u32 rows_line;
  __u16 rows;       /* all rows; dense ones first */
  __u16 dense_rows; /* rows found by bit vectors */
  __u32 dims_line;  /* struct ps_dimension, two a line */
  __u8 dims;
  __u8 vector_lines;      /* lines of each bit vector: dense_rows / 512, rounded up */
  __u16 dense_first_rule; /* no dense row belongs to an earlier rule */
  __u32 lists_line;       /* __u16 row numbers, 32 a line */
  __u32 always_list;      /* list reference: rows checked for every packet */
  /* Two struct ps_dimension, of the source and of the destination groups; 0: no rule names groups.
   */
  __u32 groups_line;
  __u32 all_line; /* vector of all dense rows, for when no dimension narrows them down */
  __u8 reserved[32];
};

/* Fields of a packet that a dimension can look at, as 32-bit numbers. IPv4 uses word 0 of the
 * addresses. */
enum ps_field {
  PS_FIELD_SRC = 0, /* 0..3: words of the source address, most significant first */
  PS_FIELD_DST = 4, /* 4..7 */
  PS_FIELD_SPORT = 8,
  PS_FIELD_DPORT = 9,
  PS_FIELD_PROTO = 10,
  PS_FIELD_L4 = 11,        /* ICMP type << 8 | code, PS_L4_TCP | TCP flags, or PS_L4_NONE */
  PS_FIELD_SRC_GROUP = 12, /* the two group tables */
  PS_FIELD_DST_GROUP = 13,
  PS_FIELDS = 16, /* size of the array of fields, a power of two */
};

#define PS_L4_TCP 0x10000u
#define PS_L4_NONE 0x20000u
#define PS_PORT_NONE 0x10000u /* in both port fields: the packet has no ports */

/* A sorted set of numbers (keys) as a static search tree, and what is known of each interval
 * between them. The index of x is the number of keys <= x, so there are keys + 1 intervals. The
 * tree's levels lie one after the other, root first; level i has blocks[i] blocks of 16 keys; block
 * b's children are 17 b .. 17 b + 16 of the next level. At most two keys need no tree: they stand
 * in `few`, and levels is 0. In a group table the keys are the group ids, entries_line holds struct
 * ps_group_entry, entry 0 for "none of them". */
struct ps_dimension {
  __u32 tree_line;
  union {
    __u16 blocks[PS_MAX_TREE_LEVELS];
    __u32 few[2]; /* filled up with ~0 */
  };
  __u32 sparse_line;  /* __u32 list reference an interval, 16 a line; 0: none pivots here */
  __u32 dense_line;   /* struct ps_vector an interval, 8 a line; 0: not used to intersect */
  __u32 entries_line; /* group tables only */
  __u16 keys;
  __u8 field;
  __u8 levels; /* 0..4 */
  __u32 reserved;
};
PS_ABI_ASSERT(sizeof(struct ps_dimension) == 32);

/* A list reference: count in the high byte (0: empty). One row: its number in the low 24 bits.
 * More: index of the first in the array at lists_line. Rows of a list stand in rule order. */
#define PS_LIST_COUNT(reference) ((reference) >> 24)
#define PS_LIST_AT(reference) ((reference)&0xffffffu)

/* A bit vector over the dense rows: vector_lines lines from `line`; bit i of summary: line i has a
 * bit set. Line 0 in a dimension: all rows, so there is nothing to intersect. */
struct ps_vector {
  __u32 line;
  __u32 summary;
};

struct ps_group_entry {
  __u32 group; /* 0 in entry 0 */
  __u32 list;  /* list reference */
  /* Rows of this group and rows that name no group; line 0: groups of this side do not intersect.
   */
  struct ps_vector vector;
};

#define PS_ROW_PROTO 0x01     /* proto must be equal */
#define PS_ROW_PORTS 0x02     /* names ports: only packets with ports */
#define PS_ROW_SRC_GROUP 0x04 /* src holds a group id, mask is zero */
#define PS_ROW_DST_GROUP 0x08
#define PS_ROW_SRC_LONG \
  0x10 /* IPv6 prefix longer than 64: the mask is for the low half, the high one is exact */
#define PS_ROW_DST_LONG 0x20

/* What a row says about transport. l4 is ICMP type | code << 8, or the TCP flags. */
struct ps_row_tail {
  __u16 sport_low, sport_high, dport_low, dport_high;
  __u8 proto;
  __u8 match; /* PS_ROW_* */
  __u16 l4_mask, l4_value;
  __u16 rule;
};
PS_ABI_ASSERT(sizeof(struct ps_row_tail) == 16);

struct ps_row4 {
  __be32 src, src_mask; /* or the group id in host order */
  __be32 dst, dst_mask;
  struct ps_row_tail tail;
};
PS_ABI_ASSERT(sizeof(struct ps_row4) == 32);

struct ps_row6 {
  union ps_address src, dst; /* or the group id in w[0], host order */
  __be64 src_mask, dst_mask;
  struct ps_row_tail tail;
};
PS_ABI_ASSERT(sizeof(struct ps_row6) == 64);

union ps_line {
  __u8 b[64];
  __u16 h[32];
  __u32 w[16];
  __u64 d[8];
  struct ps_policy_header header;
  struct ps_family family;
  struct ps_dimension dim[2];
  struct ps_vector vector[8];
  struct ps_group_entry group[4];
  struct ps_row4 row4[2];
  struct ps_row6 row6;
};
PS_ABI_ASSERT(sizeof(union ps_line) == PS_LINE_BYTES);
PS_ABI_ASSERT(sizeof(struct ps_policy_header) == PS_LINE_BYTES);
PS_ABI_ASSERT(sizeof(struct ps_family) == PS_LINE_BYTES);

#endif
