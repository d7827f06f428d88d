#include "server/secret.h"

#include <fmt/format.h>

#include "base/digest.h"

namespace penstock {

std::string new_secret(Runtime& runtime) {
  std::string text = "pst_";
  for (int i = 0; i < 4; ++i) text += fmt::format("{:016x}", runtime.random());
  return text;
}

std::string secret_hash(std::string_view secret) {
  return digest(secret).text();
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace penstock
