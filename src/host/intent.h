// What the server wants of this host: an ordered set of items and their place in history. accept()
// is the whole rule of what may change it (host.proto, DESIGN 3.15): pure, so that simulation and
// tests try every order of messages.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

struct Position {
  std::string incarnation;  // empty: nothing was ever received
  std::int64_t revision = 0;
  std::int64_t epoch = 0;
  bool operator==(const Position&) const = default;
  std::string text() const;  // "revision 7 of 3f2a (epoch 2)"
};
Position position_of(const v1::Position&);
v1::Position message_of(const Position&);

using Item = std::shared_ptr<const v1::IntentItem>;

class Intent {
 public:
  const Position& position() const { return position_; }
  const std::map<std::string, Item, std::less<>>& items() const { return items_; }

  // The item's message, or nullptr when there is none or it is of another kind than its key says.
  const v1::SwitchIntent* find_switch(std::string_view name) const;
  const v1::NetworkIntent* network(std::uint32_t vni) const;
  const v1::GroupIntent* group(std::uint64_t id) const;
  const v1::PolicyIntent* policy(std::uint64_t id) const;
  // The first one that the switch calls so: for what the switch reports.
  const v1::PolicyIntent* policy_numbered(std::uint32_t number) const;
  const v1::InstanceIntent* instance(std::string_view tenant, std::string_view name) const;
  const v1::PortIntent* port(std::uint32_t id) const;

  // As host.proto defines it.
  const SetDigest& digest() const { return digest_; }

  // The file form, with a checksum: a damaged or foreign file is kInvalidArgument, never half an
  // intent.
  std::string serialize() const;
  static Result<Intent> parse(std::string_view file);

 private:
  friend struct IntentEditor;
  const v1::IntentItem* item(const std::string& key) const;

  Position position_;
  std::map<std::string, Item, std::less<>> items_;
  SetDigest digest_;
};

struct Acceptance {
  enum class Kind {
    kTaken,     // the intent is at the message's position now; `changed` may be empty
    kRefused,   // stale, foreign or malformed: nothing changed; `why` says which
    kNeedFull,  // a message in between is missing: nothing changed, ask for FULL
    kNothing,   // a message that is not about the intent (heartbeat)
  };
  Kind kind = Kind::kNothing;
  std::string why;
  std::vector<std::string> changed;  // keys put, replaced or removed, sorted
};
Acceptance accept(Intent&, const v1::ServerMessage&);

// Keys of items, as host.proto names them.
std::string switch_key(std::string_view name);
std::string network_key(std::uint32_t vni);
std::string group_key(std::uint64_t id);
std::string policy_key(std::uint64_t id);
std::string instance_key(std::string_view tenant, std::string_view name);
std::string port_key(std::uint32_t id);

}  // namespace penstock::host
