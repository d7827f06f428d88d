// Snapshot x host -> what the host should hold. Pure: nothing but the snapshot goes in. A change is
// compiled by looking only at the items it can touch, and a property test holds that against
// compiling everything.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "model/snapshot.h"
#include "model/step_kind.h"
#include "penstock/v1/host.pb.h"

namespace penstock {

// An item as it is sent: its key, the serialized v1.IntentItem (which has the key too), the SHA-256
// of that. Shared, because policies and neighbours are the same on many hosts.
struct CompiledItem {
  std::string key, bytes;
  Digest digest;
};
using ItemPtr = std::shared_ptr<const CompiledItem>;
ItemPtr make_item(v1::IntentItem&&);
v1::IntentItem parse_item(const CompiledItem&);

// As host.proto defines it.
SetDigest digest_of(std::span<const ItemPtr>);

struct HostIntent {
  std::map<std::string, ItemPtr, std::less<>> items;  // by IntentItem.key

  SetDigest digest() const;
  bool operator==(const HostIntent&) const;  // by content
};

// What changes on one host: upserts and removals by key, sorted.
struct HostChange {
  std::map<std::string, ItemPtr, std::less<>> put;
  std::set<std::string, std::less<>> remove;
  SetDigest difference;  // what the change adds to the digest of the host's intent

  bool empty() const { return put.empty() && remove.empty(); }
  void apply_to(HostIntent&) const;
  // Puts a later change on top of this one: several changes become one delta.
  void then(const HostChange& later);
};
using Changes = std::map<std::string, HostChange, std::less<>>;  // by host; hosts that change only

class CompilerMemo;

// Keeps plans of profiles it has seen: a memo only, its answers do not depend on it. One strand.
class Compiler {
 public:
  explicit Compiler(const StepKinds&);
  ~Compiler();

  HostIntent compile(const Snapshot&, std::string_view host);
  // The same as a list sorted by key. What hosts have in common is shared between calls for one
  // snapshot, and onwards while no VM, network or host changes.
  std::vector<ItemPtr> list(const Snapshot&, std::string_view host);
  // What the edits that lead from `before` to `after` change, on which hosts. The keys are the
  // affected hosts.
  Changes changes(const Snapshot& before, const Snapshot& after, std::span<const Edit> edits);

  // The same for edits that may never come to pass.
  Changes what_if(const Snapshot& before, const Snapshot& after, std::span<const Edit> edits);

  // Before an object is stored: kInvalidArgument when it would bring a selector that the switch
  // could not tell from another.
  Status check_selectors(const Snapshot& after, const ObjectKey& edited);

  // Item keys that realize the object on each host concerned: VM -> instance, ports; enablement ->
  // ports of the VMs it covers; profile -> policies and their groups; network -> net; pool -> ports
  // of its VMs; host -> everything it has.
  std::map<std::string, std::vector<std::string>> items_of(const Snapshot&, const ObjectKey&);
  std::vector<std::string> items_of(const Snapshot&, const ObjectKey&, std::string_view host);

  // The steps on a NIC in their order, whether its VM runs or not.
  std::vector<v1::StepIntent> steps_of(const Snapshot&, const v1::VirtualMachine&, const v1::Nic&);
  // How an enablement reaches a NIC: "on the VM", "through pool web".
  static std::string covers_by(const v1::Enablement&);

  // Rules of a level as lines, or why there are none.
  Result<std::vector<std::string>> explain_level(const Snapshot&, std::string_view profile,
                                                 std::string_view level);

 private:
  std::unique_ptr<CompilerMemo> memo_;
};

// All step kinds of this build.
StepKinds standard_step_kinds();

}  // namespace penstock
