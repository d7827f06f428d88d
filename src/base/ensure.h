// ensure(condition, "what must hold"): checks our own invariants, in every build type. Never used on input
// from users, peers, kernel or vendors: that is handled with Result.
#pragma once

#include <cstdio>
#include <cstdlib>

#define ensure(condition, what)                                                                  \
  do {                                                                                           \
    if (!(condition)) [[unlikely]] {                                                             \
      std::fprintf(stderr, "penstock: broken invariant at %s:%d: %s (%s)\n", __FILE__, __LINE__, \
                   what, #condition);                                                            \
      std::abort();                                                                              \
    }                                                                                            \
  } while (0)
