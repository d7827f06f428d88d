// libFuzzer: an arbitrary arena, an arbitrary packet. The classifier must neither read outside the
// arena nor run on; with AddressSanitizer that is checked at every step. See README.md for how to
// run it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "lib/classify.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ps_packet_view view{};
  std::uint32_t line = 0;
  if (size < sizeof view + 1) return 0;
  std::memcpy(&view, data, sizeof view);
  line = data[sizeof view] % 4;
  data += sizeof view + 1;
  size -= sizeof view + 1;
  // Exactly as many lines as there are, on the heap: one byte beyond is noticed.
  std::vector<ps_line> lines((size + PS_LINE_BYTES - 1) / PS_LINE_BYTES);
  if (size) std::memcpy(lines.data(), data, size);
  const ps_arena_view arena{lines.data(), static_cast<std::uint32_t>(lines.size())};
  ps_match match{};
  ps_classify(&arena, line, &view, &match);
  if (match.error && match.action != PS_ACTION_DENY) std::abort();
  if (match.matched != (match.rule != PS_NO_RULE)) std::abort();
  return 0;
}
