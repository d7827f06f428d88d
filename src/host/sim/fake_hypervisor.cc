#include "host/sim/fake_hypervisor.h"

#include <fmt/format.h>

namespace penstock::host {
namespace {

InstanceInfo info_of(const std::string& id, const FakeMachines::Machine& machine) {
  InstanceInfo info{id, machine.spec.running, {}};
  for (const auto& [port, ifindex] : machine.devices) info.ports.push_back({port, ifindex, true});
  return info;
}

}  // namespace

void FakeMachines::kill(const std::string& id) {
  const auto found = machines.find(id);
  if (found == machines.end()) return;
  for (const auto& [port, ifindex] : found->second.devices) kernel.remove_link(ifindex);
  machines.erase(found);
  if (changed) changed();
}

Result<std::vector<InstanceInfo>> FakeHypervisor::list() {
  std::vector<InstanceInfo> out;
  for (auto& [id, machine] : machines_.machines) {
    std::erase_if(machine.devices, [&](const auto& device) {
      return !machines_.kernel.devices().contains(device.second);
    });
    out.push_back(info_of(id, machine));
  }
  return out;
}

Status FakeHypervisor::ensure_now(const InstanceSpec& spec,
                                  const std::function<Status(const InstanceInfo&)>& devices_ready) {
  ++machines_.ensures;
  if (machines_.broken.contains(spec.id))
    return fail(Code::kInternal, fmt::format("start {}: the image does not boot", spec.id));
  const bool is_new = !machines_.machines.contains(spec.id);
  auto& machine = machines_.machines[spec.id];
  if (is_new) ++machines_.made;
  if (machine.spec.running && !spec.running) machine.sending = false;
  machine.spec = spec;
  std::set<PortId> wanted;
  for (const auto& nic : spec.nics)
    if (spec.running) wanted.insert(nic.port);
  std::erase_if(machine.devices, [&](const auto& device) {
    const bool there = machines_.kernel.devices().contains(device.second);
    if (wanted.contains(device.first) && there) return false;
    if (there) machines_.kernel.remove_link(device.second);
    return true;
  });
  for (const auto& port : wanted) {
    if (machine.devices.contains(port)) continue;
    Link link;
    link.name = fmt::format("ps-p{}", port.value);
    link.kind = "veth";
    link.alias = fmt::format("penstock:port/{}", port.value);
    link.up = true;
    machine.devices[port] = machines_.kernel.add_link(link);
  }
  if (spec.running) PENSTOCK_CHECK(devices_ready(info_of(spec.id, machine)));
  machine.sending = spec.running;
  if (machines_.after_change) machines_.after_change();
  return {};
}

void FakeHypervisor::ensure_instance(const InstanceSpec& spec,
                                     std::function<Status(const InstanceInfo&)> devices_ready,
                                     Done done) {
  runtime_.after(machines_.work_time,
                 [this, spec, devices_ready = std::move(devices_ready), done = std::move(done)] {
                   done(ensure_now(spec, devices_ready));
                 });
}

void FakeHypervisor::remove_instance(const std::string& id, Done done) {
  runtime_.after(machines_.work_time, [this, id, done = std::move(done)] {
    const auto found = machines_.machines.find(id);
    if (found != machines_.machines.end()) {
      ++machines_.removed;
      for (const auto& [port, ifindex] : found->second.devices)
        machines_.kernel.remove_link(ifindex);
      machines_.machines.erase(found);
    }
    done({});
  });
}

}  // namespace penstock::host
