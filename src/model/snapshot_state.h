// What a Snapshot consists of. Private to model/snapshot*.cc.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/snapshot.h"

namespace penstock {

// Sorts before every character of a name, so that composite keys order part by part.
inline constexpr char kSep = '\x1f';

// Sets of composite keys; the comment gives the parts. Fixed-size binary parts have no separator
// behind them.
enum Table : std::size_t {
  kPort,          // port(4) tenant vm nic
  kNetNic,        // tenant network host port(4) vm nic   (host empty: not running)
  kMac,           // tenant network mac(6) port(4)
  kAddress,       // tenant network family(1) bytes(16) port(4)
  kHostVm,        // host tenant vm
  kTenantHost,    // tenant host vm
  kLabel,         // tenant key value vm
  kOwner,         // owner tenant vm
  kOnVm,          // tenant vm enablement
  kOnNic,         // tenant vm nic enablement
  kOnPool,        // tenant pool enablement
  kOnNetwork,     // tenant network enablement
  kOfProfile,     // profile tenant enablement
  kTenantUses,    // tenant profile enablement
  kOffered,       // tenant profile, published; tenant empty: its availability names no tenants
  kOfDefinition,  // definition profile
  kPoolNames,     // tenant vm pool
  kPoolSelects,   // tenant pool
  kVni,           // vni(4) tenant network
  kClusterHost,   // cluster host
  kSha256,        // sha256 token
  kUserToken,     // user token
  kHostToken,     // host token
  kGroupUser,     // group user
  kTables,
};

struct None {};
using KeySet = PersistentMap<std::string, None>;

struct SnapshotState {
  struct Entry {
    MessagePtr object;
    std::int64_t mod_revision = 0;
  };
  struct CounterEntry {
    std::uint64_t value = 0;
    std::int64_t mod_revision = 0;
  };
  std::int64_t revision = 0;
  std::string incarnation;
  std::vector<PersistentMap<std::string, Entry>> objects;  // by Kind::index; key: tenant name
  PersistentMap<std::string, CounterEntry> counters;
  std::array<KeySet, kTables> index;

  // What the object contributes to the indexes.
  using IndexEntry = std::function<void(Table, std::string key)>;
  static void index_entries(const Message& object, const IndexEntry&);
  // Takes it in or out.
  void enter(const Message& object, bool present);
};

// Joins parts with kSep between them.
template <typename... Parts>
std::string join_key(const Parts&... parts) {
  std::string out;
  out.reserve((std::string_view(parts).size() + ... + sizeof...(parts)));
  std::size_t left = sizeof...(parts);
  ((out.append(std::string_view(parts)), --left ? out.push_back(kSep) : void()), ...);
  return out;
}
// The same with a kSep at the end: the prefix of everything below.
template <typename... Parts>
std::string join_prefix(const Parts&... parts) {
  return join_key(parts..., std::string_view());
}
std::string be32(std::uint32_t);
std::uint32_t read_be32(std::string_view);
std::string address_bytes(const IpAddress&);  // family(1) bytes(16)

// Cuts the next part off.
inline std::string_view next_part(std::string_view& rest) {
  const auto at = rest.find(kSep);
  const auto part = rest.substr(0, at);
  rest = at == rest.npos ? std::string_view() : rest.substr(at + 1);
  return part;
}

// visit(what follows the prefix); a bool false stops.
template <typename Visit>
void scan(const KeySet& set, const std::string& prefix, Visit&& visit) {
  set.each_from(prefix, [&](const std::string& key, const None&) -> bool {
    if (!key.starts_with(prefix)) return false;
    const auto rest = std::string_view(key).substr(prefix.size());
    if constexpr (std::is_void_v<decltype(visit(rest))>) {
      visit(rest);
      return true;
    } else {
      return visit(rest);
    }
  });
}
// The different first parts behind the prefix, in O(log n) each whatever lies below them.
std::vector<std::string> first_parts(const KeySet& set, std::string prefix);
std::size_t count_prefix(const KeySet& set, const std::string& prefix);
bool has_prefix(const KeySet& set, const std::string& prefix);

}  // namespace penstock
