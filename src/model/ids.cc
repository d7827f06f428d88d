#include "model/ids.h"

namespace penstock {
namespace {

// FNV-1a over the parts with their ends marked, then the finalizer of MurmurHash3, which spreads
// every bit.
class Hash {
 public:
  Hash& part(std::string_view text) {
    for (unsigned char c : text) byte(c);
    byte(0xff);  // in no UTF-8 text
    return *this;
  }
  // The lower half is never 0, which stands for "none" in the switch.
  std::uint64_t id() const {
    auto h = state_;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdULL;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 33;
    return static_cast<std::uint32_t>(h) ? h : h | 1;
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
  void byte(unsigned char c) { state_ = (state_ ^ c) * 0x100000001b3ULL; }
};

}  // namespace

std::uint64_t policy_id(std::string_view profile_uid, std::string_view level,
                        std::string_view tenant_uid) {
  return Hash().part("policy").part(profile_uid).part(level).part(tenant_uid).id();
}

std::uint32_t tenant_tag(std::string_view tenant_uid) {
  return static_cast<std::uint32_t>(Hash().part("tenant").part(tenant_uid).id());
}

std::uint32_t selector_number(std::string_view selector_text) {
  return static_cast<std::uint32_t>(Hash().part("selector").part(selector_text).id());
}

}  // namespace penstock
