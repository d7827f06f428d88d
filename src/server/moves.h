// Moves of running VMs between hosts. The state of a move is stored (VirtualMachine.status.move),
// so a server that was killed in the middle goes on or takes the VM back; what it does next follows
// from the stored phase and from what both hosts answer when they are asked again
// (docs/adr/0008-moving-a-vm.md).
//
//   PREPARING  the new host gets all items of the VM, everybody else its second place; then the old
//              host sends its flows ahead. Given up: the move is struck out, nothing has happened.
//   SWITCHING  DEPART at the old host, ARRIVE at the new one, then one commit makes it the VM's
//   host RETURNING  RETURN at the old host, then the move is struck out
//
// `status.host` changes last. Until then the old host is asked first, and the driver's rule that a
// guest is taken by one host only (host/hypervisor.h) decides where it is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/runtime.h"
#include "compile/intent.h"
#include "server/engine.h"
#include "server/handlers/context.h"
#include "server/journal.h"
#include "server/sessions.h"

namespace penstock {

class Moves {
 public:
  struct Outcome {
    bool moved = false;  // false: taken back, `why`
    std::string why;
    std::int64_t flows = 0;
    Duration pause{};  // from the order to let go to the word that it runs again
  };

  Moves(Runtime&, Log&, Engine&, Compiler&, HostSessions&, Journal&);

  // Begins a move, or says why not: kFailedPrecondition, kConflict (on its way to another host),
  // kNotFound. Nothing to do: it is there, or on its way there.
  Result<Planned> plan(const PlanContext&, const v1::MoveRequest&, Write&) const;

  // The inventory has been loaded: goes on with moves of an earlier life.
  void start();
  void published(const Publication&);
  // Something about the host's session or items has changed.
  void progress(const std::string& host);
  void reported(const std::string& host, const v1::MoveReport&);
  void flows(const std::string& host, const v1::FlowBatch&);

  // Calls back when no move of the VM is under way, with the outcome of the last one if it is
  // known; nullopt at the deadline. Never within this call.
  void wait(const ObjectKey& vm, Duration deadline,
            std::move_only_function<void(std::optional<Outcome>)> done);

  std::size_t under_way() const { return runs_.size(); }

 private:
  struct Run {
    std::uint64_t id = 0;
    ObjectKey vm;
    std::string from, to;
    v1::VmMove::Phase phase = v1::VmMove::PREPARING;
    std::vector<std::uint32_t> ports;

    // Hosts that have not acknowledged what the move needs of them, with those items.
    std::map<std::string, std::vector<std::string>> open;
    std::set<std::string>
        away;  // of them, those without a session: they are told when they are back

    std::uint64_t asked = 0;  // the order under way; 0: none
    std::string asked_host;
    v1::MoveOrder::Step step{};
    bool sent_ahead = false;  // the new host has all flows but the last
    bool departed = false;
    std::string handle;
    bool may_be_there = false;  // the new host was told to take it, or an earlier server may have
    bool committing = false;
    std::int64_t flows = 0;
    MonoTime deadline, silent_since{}, runs_since{};
    std::string why;  // it is taken back
    std::optional<TimerId> timer;
  };
  struct Waiter {
    std::uint64_t id = 0;
    TimerId timer{};
    std::move_only_function<void(std::optional<Outcome>)> done;
  };

  void begin(const ObjectKey&, const v1::VirtualMachine&, bool resumed);
  void end(const ObjectKey&, const Publication&);
  void look_at(Run&, const std::string& host);
  void advance_soon(const ObjectKey&);
  void advance(Run&);
  void prepare(Run&);
  void switch_over(Run&);
  bool order(Run&, const std::string& host, v1::MoveOrder::Step);
  void give_up(Run&, std::string why);
  using Change = std::function<void(v1::VirtualMachine&)>;
  void commit(Run&, Change);
  void arm(Run&, Duration);
  bool ready(std::string_view host) const;
  std::string choose(const Snapshot&, const v1::VirtualMachine&) const;
  Status may_take(const Snapshot&, const v1::VirtualMachine&, const std::string& host) const;

  Runtime& runtime_;
  Log& log_;
  Engine& engine_;
  Compiler& compiler_;
  HostSessions& sessions_;
  Journal& journal_;
  std::map<ObjectKey, Run> runs_;
  std::map<ObjectKey, Outcome> last_;  // of VMs that moved lately; the oldest key goes first
  std::map<ObjectKey, std::vector<Waiter>> waiters_;
  std::uint64_t next_ = 1;
};

}  // namespace penstock
