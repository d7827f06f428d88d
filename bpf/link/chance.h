/* Dice that fall alike for equal seeds: the n-th frame of a direction always meets the same fate,
   whatever the others do. bpf_get_prandom_u32 cannot be seeded. */
#ifndef PENSTOCK_LINK_CHANCE_H
#define PENSTOCK_LINK_CHANCE_H

#include "link/abi.h"

/* SplitMix64 (Steele, Lea, Flood 2014): the n-th output for a seed, without state. */
static inline __u64 link_dice(__u64 seed, __u64 number) {
  __u64 z = seed + (number + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/* Whether something of that chance happens; `half` is one of the dice's independent 32-bit halves.
 */
static inline int link_happens(__u32 half, __u32 ppm) {
  return ((__u64)half * LINK_CERTAIN >> 32) < ppm;
}

static inline int link_loses(__u64 dice, __u32 ppm) {
  return link_happens((__u32)dice, ppm);
}

static inline int link_duplicates(__u64 dice, __u32 ppm) {
  return link_happens((__u32)(dice >> 32), ppm);
}

#endif
