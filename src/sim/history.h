// What should be so at each revision, worked out from the store's own log with nothing of the
// server's: the inventory, and from it what every host should enforce. Checks on the way that each
// revision is sound in itself, that no request took effect twice, and that compiling a change
// incrementally gives what compiling everything gives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compile/intent.h"
#include "sim/enforced.h"
#include "sim/verdict.h"
#include "store/sim/sim_store.h"

namespace penstock::sim {

// Annotation by which an object tells the operation that wrote it.
inline constexpr const char* kOperation = "operation";

struct Expected {
  HostIntent intent;
  struct Port {
    std::string facet;           // as EnforcedPort
    std::set<std::string> keys;  // items that must be applied before it can be so
  };
  std::map<PortId, Port> ports;
};

class History {
 public:
  History(const SimDisk&, Book& images, Verdict&, std::vector<std::string> hosts);
  ~History();

  // Takes in what was committed since the last call.
  void catch_up();

  const Snapshot& head() const { return head_; }
  std::int64_t revision() const { return head_.revision(); }
  // What this host should be at this revision (which may be one that changed nothing for it).
  const Expected& at(const std::string& host, std::int64_t revision) const;
  // Whether some revision from `from` on wants the port to be exactly so.
  bool ever_since(const std::string& host, std::int64_t from, PortId,
                  const std::string& facet) const;
  std::string wanted_since(const std::string& host, std::int64_t from, PortId) const;
  // Whether the host is concerned by exactly this revision.
  bool concerns(const std::string& host, std::int64_t revision) const;
  // The event of this key at this revision, or nullptr.
  const KeyEvent* event(std::int64_t revision, const std::string& key) const;

  // Compiles everything and compares with what was kept up to date by changes alone.
  void check_compiler();

 private:
  void take(const WatchEvents&);
  void check_inventory() const;
  void check_services() const;
  void count_operations(const WatchEvents&);
  Expected expect(HostIntent);
  const std::array<int, 2>& images_of(const CompiledItem& policy_item);

  const SimDisk& disk_;
  Book& images_;
  Verdict& verdict_;
  StepKinds step_kinds_;
  Compiler full_, incremental_;
  Snapshot head_;
  std::map<std::string, std::map<std::int64_t, Expected>> expected_;  // host -> since revision
  std::map<std::string, HostIntent> kept_up_;                         // by changes alone
  std::map<std::string, std::array<int, 2>> policy_images_;           // by item bytes
  std::map<std::string, std::string> writer_;                         // store key -> operation
  std::map<std::pair<std::string, std::string>, int> effects_;        // operation, key
  int since_check_ = 0;
};

}  // namespace penstock::sim
