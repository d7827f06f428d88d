// Secrets of tokens: made, hashed, compared.
#pragma once

#include <string>
#include <string_view>

#include "base/runtime.h"

namespace penstock {

// 256 random bits as text: "pst_" and 64 hex digits. The prefix lets scanners of source code and
// logs find leaks.
std::string new_secret(Runtime&);
// What the store keeps instead: SHA-256 of the text, in hex. No salt and no slow hash: 256 random
// bits cannot be guessed, unlike a password.
std::string secret_hash(std::string_view secret);
// In time that depends on the lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace penstock
