#include "sim/taps.h"

#include <cstring>
#include <utility>

#include "abi/port.h"
#include "base/digest.h"

namespace penstock::sim {
namespace {

std::string short_text(host::ByteView bytes) {
  if (bytes.size() > 32) return digest(bytes).text().substr(0, 16);
  std::string out;
  for (const auto byte : bytes)
    fmt::format_to(std::back_inserter(out), "{:02x}", std::to_integer<int>(byte));
  return out;
}

}  // namespace

// --- kernel

TappedKernel::TappedKernel(host::FakeKernel& kernel, SimClock& clock, Trace& trace, std::string who,
                           Defect defect, std::function<void()> look)
    : kernel_(kernel),
      clock_(clock),
      trace_(trace),
      who_(std::move(who)),
      defect_(defect),
      look_(std::move(look)) {}

Status TappedKernel::note(std::string what, Status status) {
  trace_.add("{} kernel: {}{}", who_, what, status ? "" : " FAILED " + status.error().message);
  look_();
  return status;
}

Result<host::Link> TappedKernel::create_vxlan(const host::VxlanSpec& spec) {
  auto link = kernel_.create_vxlan(spec);
  trace_.add("{} kernel: create {} -> {}", who_, spec.name,
             link ? std::to_string(link->ifindex) : link.error().message);
  return link;
}
Status TappedKernel::delete_link(int ifindex) {
  return note(fmt::format("delete device {}", ifindex), kernel_.delete_link(ifindex));
}
Status TappedKernel::set_link_up(int ifindex, bool up) {
  return note(fmt::format("device {} up {}", ifindex, up), kernel_.set_link_up(ifindex, up));
}
Status TappedKernel::set_link_mtu(int ifindex, int mtu) {
  return note(fmt::format("device {} mtu {}", ifindex, mtu), kernel_.set_link_mtu(ifindex, mtu));
}

Status TappedKernel::attach(host::Attachment attachment) {
  const auto what = fmt::format("attach {} to device {}", static_cast<int>(attachment.program),
                                attachment.ifindex);
  if (defect_ == Defect::kDetachUnseen && clock_.random().below(16) == 0) return note(what, {});
  return note(what, kernel_.attach(attachment));
}
Status TappedKernel::detach(host::Attachment attachment) {
  return note(fmt::format("detach {} from device {}", static_cast<int>(attachment.program),
                          attachment.ifindex),
              kernel_.detach(attachment));
}

Status TappedKernel::map_put(host::Map map, host::ByteView key, host::ByteView value) {
  auto status = kernel_.map_put(map, key, value);
  if (defect_ == Defect::kSwallowFullMap && !status &&
      status.error().code == Code::kResourceExhausted)
    status = {};
  return note(
      fmt::format("map {} {} = {}", static_cast<int>(map), short_text(key), short_text(value)),
      std::move(status));
}
Status TappedKernel::map_erase(host::Map map, host::ByteView key) {
  return note(fmt::format("map {} {} erased", static_cast<int>(map), short_text(key)),
              kernel_.map_erase(map, key));
}
Status TappedKernel::synchronize() {
  return note("synchronize", kernel_.synchronize());
}

// --- hypervisor

void TappedHypervisor::ensure_instance(
    const host::InstanceSpec& spec, std::function<Status(const host::InstanceInfo&)> devices_ready,
    Done done) {
  trace_.add("{} instance {}: make, {} NICs, {}", who_, spec.id, spec.nics.size(),
             spec.running ? "running" : "stopped");
  driver_.ensure_instance(
      spec, std::move(devices_ready), [this, id = spec.id, done = std::move(done)](Status status) {
        trace_.add("{} instance {}: {}", who_, id, status ? "made" : status.error().message);
        done(std::move(status));
      });
}

void TappedHypervisor::remove_instance(const std::string& id, Done done) {
  trace_.add("{} instance {}: remove", who_, id);
  driver_.remove_instance(id, [this, id, done = std::move(done)](Status status) {
    trace_.add("{} instance {}: removed", who_, id);
    done(std::move(status));
  });
}

void TappedHypervisor::depart(const std::string& id, std::function<void()> silent, Handed handed) {
  trace_.add("{} instance {}: depart", who_, id);
  driver_.depart(
      id, std::move(silent), [this, id, handed = std::move(handed)](Result<std::string> handle) {
        trace_.add("{} instance {}: {}", who_, id, handle ? "departed" : handle.error().message);
        handed(std::move(handle));
      });
}

void TappedHypervisor::arrive(const host::InstanceSpec& spec, const std::string& handle,
                              std::function<Status(const host::InstanceInfo&)> devices_ready,
                              Done done) {
  trace_.add("{} instance {}: arrive", who_, spec.id);
  driver_.arrive(spec, handle, std::move(devices_ready),
                 [this, id = spec.id, done = std::move(done)](Status status) {
                   trace_.add("{} instance {}: {}", who_, id,
                              status ? "arrived" : status.error().message);
                   done(std::move(status));
                 });
}

void TappedHypervisor::take_back(const host::InstanceSpec& spec,
                                 std::function<Status(const host::InstanceInfo&)> devices_ready,
                                 Done done) {
  trace_.add("{} instance {}: take back", who_, spec.id);
  driver_.take_back(
      spec, std::move(devices_ready), [this, id = spec.id, done = std::move(done)](Status status) {
        trace_.add("{} instance {}: {}", who_, id, status ? "taken back" : status.error().message);
        done(std::move(status));
      });
}

// --- store

void TappedStore::commit(std::vector<Txn> batch, CommitDone done) {
  const auto* real = batch.empty() ? nullptr : &batch.front();
  // The first epoch goes through, or nothing would ever start.
  const bool can_lie = real && batch.size() == 1 && real->ops.size() > 1;
  if (defect_ == Defect::kLoseWrite && can_lie && clock_.random().below(20) == 0) {
    std::int64_t newest = 0;
    for (const auto& compare : real->compares)
      newest = std::max(newest, compare.mod_revision.value);
    return done({Committed{Revision{newest + 1}}});
  }
  if (defect_ == Defect::kForgetRequestIds)
    for (auto& txn : batch) txn.request_id.clear();
  trace_.add("store: commit of {} transactions", batch.size());
  store_.commit(std::move(batch),
                [this, done = std::move(done)](std::vector<TxnOutcome> outcomes) mutable {
                  std::string text;
                  for (const auto& outcome : outcomes) {
                    if (const auto* in = std::get_if<Committed>(&outcome))
                      text += fmt::format(" {}", in->revision.value);
                    else if (std::holds_alternative<Conflict>(outcome))
                      text += " conflict";
                    else if (std::holds_alternative<Unknown>(outcome))
                      text += " unknown";
                    else
                      text += " " + std::get<Error>(outcome).message;
                  }
                  trace_.add("store:{}", text);
                  done(std::move(outcomes));
                });
}

}  // namespace penstock::sim
