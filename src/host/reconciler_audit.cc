// Observed against desired without a change of the intent: devices that went, guests that died,
// programs that somebody detached; and what is removed only when it is quiet.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/digest.h"
#include "host/reconciler.h"

namespace penstock::host {

void Reconciler::look_soon() {
  if (std::exchange(look_pending_, true)) return;
  // Devices come in bunches; one look serves all that arrive within the moment.
  runtime_.after(std::chrono::milliseconds(runtime_.tunables().reconcile_look_ms), [this] {
    look_pending_ = false;
    audit();
  });
}

void Reconciler::arm_audit() {
  audit_timer_ =
      runtime_.after(std::chrono::milliseconds(runtime_.tunables().reconcile_audit_ms), [this] {
        audit();
        arm_audit();
      });
}

void Reconciler::audit() {
  if (!swept_) return;  // nothing is wanted yet: all would look wrong
  const auto differences = instances_->look();
  const auto links = kernel_.links();
  const auto attachments = kernel_.attachments();
  if (!differences || !links || !attachments) {
    log_.warning("audit: {}", !differences ? differences.error().message
                              : !links     ? links.error().message
                                           : attachments.error().message);
    return;
  }
  for (const auto& id : differences->instances) {
    const auto key = "50/vm/" + id;
    if (const auto why = troubles_.find(key); why != troubles_.end() && why->second.final) continue;
    log_.info("{}: the instance or a device of it is not as it should be", key);
    mark(key);
  }
  for (const auto port : differences->ports) mark(port_key(port.value));

  if (!overlay_.intact(*links, *attachments)) {
    log_.warning("the overlay device is gone or lost its program: made again");
    for (const auto& name : overlay_.names()) mark(switch_key(name));
  }
  for (const auto& attachment : ports_->attachments()) {
    if (std::ranges::binary_search(*attachments, attachment)) continue;
    for (const auto port : ports_->table().ports()) {
      const auto* device = instances_->device(port);
      if (device && device->ifindex == attachment.ifindex) {
        ports_->doubt(port);
        mark(port_key(port.value));
      }
    }
  }
  sweep();
  turn();
}

void Reconciler::sweep() {
  if (auto status = kernel_.take_over(); !status)
    log_.warning("programs of an earlier version stay: {}", status.error().message);
  if (auto status = tables_.sweep(); !status) log_.warning("sweep: {}", status.error().message);
  if (auto status = overlay_.sweep(); !status) log_.warning("sweep: {}", status.error().message);
  constexpr std::size_t kBlocks = 256;  // of counts, each time
  counts_.clean(kBlocks);
}

void Reconciler::arm_reclaim() {
  // Waiting for the programs takes milliseconds of the strand: not while changes come.
  if (reclaim_timer_) runtime_.cancel(*std::exchange(reclaim_timer_, std::nullopt));
  if (arena_.lines_released() == 0 && !ports_->table().has_released()) return;
  reclaim_timer_ =
      runtime_.after(std::chrono::milliseconds(runtime_.tunables().arena_reclaim_ms), [this] {
        reclaim_timer_.reset();
        auto status = arena_.lines_released() > 0 ? arena_.reclaim() : kernel_.synchronize();
        if (!status) return log_.warning("reclaim: {}", status.error().message);
        ports_->reclaim();
      });
}

void Reconciler::note_position() {
  auto mark = arena_.mark();
  mark.magic = AgentMark::kMagic;
  mark.revision = intent_.position().revision;
  const auto incarnation = digest(intent_.position().incarnation);
  std::memcpy(mark.incarnation, incarnation.bytes.data(), sizeof(mark.incarnation));
  arena_.set_mark(mark);
}

bool Reconciler::kernel_is_newer_than(const Position& position) const {
  const auto mark = arena_.mark();
  if (mark.revision == 0) return false;
  const auto incarnation = digest(position.incarnation);
  return std::memcmp(mark.incarnation, incarnation.bytes.data(), sizeof(mark.incarnation)) != 0 ||
         mark.revision > position.revision;
}

}  // namespace penstock::host
