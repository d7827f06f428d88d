// This host's part in moves of VMs: orders of the server that are not a matter of intent, and flow
// entries on their way with their VM. What moves, when and where to is the server's business
// (server/moves.h).
//
// Entries travel as ages, without what is a host's own. At the target they get its clock, the
// port's slot, and a policy word that no port ever has: each flow is judged again, by its first
// packet, when its next one comes. That costs one classification and needs no proof that both hosts
// held the same policy at the same moment (docs/adr/0008-moving-a-vm.md).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/runtime.h"
#include "host/intent.h"
#include "host/kernel.h"
#include "host/reconciler.h"

namespace penstock::host {

class Mover {
 public:
  struct Answers {
    std::function<void(v1::MoveReport)> report;
    std::function<void(v1::FlowBatch)> flows;
  };
  // What is handed in must outlive it.
  Mover(Runtime&, Log&, Kernel&, const Intent&, Reconciler&, Answers);
  ~Mover();

  // The order of a VM that comes later takes the place of one that waits.
  void take(const v1::MoveOrder&);
  // Entries of ports that do not wait for their guest here are left alone: it may have arrived, and
  // what it has is newer.
  void take(const v1::FlowBatch&);
  // The intent has changed in these items.
  void changed(const std::vector<std::string>& items);

 private:
  void carry_out(const v1::MoveOrder&);
  void depart(const v1::MoveOrder&, const std::string& id);
  void finish(const v1::MoveOrder&, Status, std::int64_t flows, const std::string& handle);
  Result<std::int64_t> send_flows(const v1::MoveOrder&, std::uint64_t changed_since_ns);
  std::uint64_t now_ns() const;

  Runtime& runtime_;
  Log& log_;
  Kernel& kernel_;
  const Intent& intent_;
  Reconciler& reconciler_;
  Answers answers_;
  struct Waiting {
    v1::MoveOrder order;
    TimerId timer{};
  };
  std::map<std::string, Waiting> waiting_;        // by VM
  std::map<std::string, int> tries_;              // of what waits
  std::map<std::string, std::uint64_t> sent_at_;  // by VM: when all its entries were read
  std::map<std::uint32_t, std::int64_t> placed_;  // by port
};

}  // namespace penstock::host
