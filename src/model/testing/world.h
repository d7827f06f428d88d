// For tests: an inventory that is filled by JSON documents through admission, with a deterministic
// source of uids.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/sim_runtime.h"
#include "model/admit.h"
#include "model/snapshot.h"

namespace penstock::testing {

class World {
 public:
  explicit World(const StepKinds& kinds, std::uint64_t seed = 1);

  // One object, or several separated by lines of "---". The first error ends it.
  Status put(std::string_view json_documents);
  Result<Admission> put(const Message& object);
  Status erase(const ObjectKey&, bool cascade);

  // Edits of the last put or erase that changed something, and the snapshot before them.
  const std::vector<Edit>& last_edits() const { return edits_; }
  const Snapshot& before() const { return before_; }
  const Snapshot& now() const { return now_; }
  AdmitContext context;

 private:
  SimRandom random_;
  Snapshot before_, now_;
  std::vector<Edit> edits_;

  void take(std::vector<Edit> edits);
};

// Figure 1: clusters, hosts h1 and h2 in two physical networks, tenants acme and globex, VMs, the
// firewall definition with levels basic and strict, the published profile office-firewall.
std::string_view figure1();

}  // namespace penstock::testing
