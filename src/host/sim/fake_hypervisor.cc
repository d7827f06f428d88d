#include "host/sim/fake_hypervisor.h"

#include <fmt/format.h>

namespace penstock::host {
namespace {

InstanceInfo info_of(const std::string& id, const FakeMachines::Machine& machine) {
  InstanceInfo info{id, machine.spec.running, {}, machine.departed};
  for (const auto& [port, ifindex] : machine.devices) info.ports.push_back({port, ifindex, true});
  return info;
}

}  // namespace

void FakeMachines::kill(const std::string& id) {
  const auto found = machines.find(id);
  if (found == machines.end()) return;
  for (const auto& [port, ifindex] : found->second.devices) kernel.remove_link(ifindex);
  if (transit && !found->second.departed) transit->holders.erase(found->second.guest);
  if (transit) transit->guests.erase(found->second.guest);
  machines.erase(found);
  if (changed) changed();
}

void FakeMachines::reboot() {
  if (transit) {
    std::erase_if(transit->guests, [this](const auto& entry) { return entry.second.from == this; });
    std::erase_if(transit->holders, [this](const auto& entry) { return entry.second == this; });
  }
  machines.clear();
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
  if (spec.running && machine.guest == 0 && machines_.transit) {
    machine.guest = machines_.transit->next++;
    machines_.transit->holders[machine.guest] = &machines_;
  }
  if (!spec.running && machines_.transit) machines_.transit->holders.erase(machine.guest);
  if (!spec.running) machine.guest = 0;
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

void FakeHypervisor::depart(const std::string& id, std::function<void()> silent, Handed handed) {
  runtime_.after(
      machines_.work_time, [this, id, silent = std::move(silent), handed = std::move(handed)] {
        const auto found = machines_.machines.find(id);
        if (found == machines_.machines.end() || !found->second.spec.running || !machines_.transit)
          return handed(fail(Code::kFailedPrecondition, id + " does not run here"));
        auto& machine = found->second;
        if (!machine.departed) {
          machine.sending = false;
          silent();
          for (const auto& [port, ifindex] : machine.devices) machines_.kernel.remove_link(ifindex);
          machine.devices.clear();
          machine.departed = true;
          machines_.transit->guests[machine.guest] = {id, &machines_};
          machines_.transit->holders.erase(machine.guest);
          if (machines_.after_change) machines_.after_change();
        }
        handed(std::to_string(machine.guest));
      });
}

Status FakeHypervisor::arrive_now(const InstanceSpec& spec, const std::string& handle,
                                  const std::function<Status(const InstanceInfo&)>& devices_ready) {
  if (machines_.broken.contains(spec.id) || !machines_.transit)
    return fail(Code::kInternal, fmt::format("{}: this host cannot take it", spec.id));
  auto& transit = *machines_.transit;
  const auto guest = std::stoull(handle);
  const auto holder = transit.holders.find(guest);
  const bool here = holder != transit.holders.end() && holder->second == &machines_;
  const auto free = transit.guests.find(guest);
  if (!here && free == transit.guests.end())
    return fail(Code::kFailedPrecondition, fmt::format("{}: the guest is not to be had", spec.id));
  const auto way_back = here ? FakeTransit::Guest{} : free->second;
  if (!here) transit.guests.erase(free);
  transit.holders[guest] = &machines_;
  auto& machine = machines_.machines[spec.id];
  machine.guest = guest;
  machine.departed = false;
  auto status = ensure_now(spec, devices_ready);
  if (status || here) return status;
  for (const auto& [port, ifindex] : machine.devices) machines_.kernel.remove_link(ifindex);
  machines_.machines.erase(spec.id);
  transit.holders.erase(guest);
  transit.guests[guest] = way_back;
  return status;
}

void FakeHypervisor::arrive(const InstanceSpec& spec, const std::string& handle,
                            std::function<Status(const InstanceInfo&)> devices_ready, Done done) {
  runtime_.after(machines_.work_time,
                 [this, spec, handle, devices_ready = std::move(devices_ready),
                  done = std::move(done)] { done(arrive_now(spec, handle, devices_ready)); });
}

void FakeHypervisor::take_back(const InstanceSpec& spec,
                               std::function<Status(const InstanceInfo&)> devices_ready,
                               Done done) {
  runtime_.after(machines_.work_time, [this, spec, devices_ready = std::move(devices_ready),
                                       done = std::move(done)] {
    const auto found = machines_.machines.find(spec.id);
    if (found == machines_.machines.end() || !found->second.departed)
      return done(ensure_now(spec, devices_ready));
    const auto guest = found->second.guest;
    if (machines_.transit->holders.contains(guest))
      return done(fail(Code::kFailedPrecondition, spec.id + ": another host has it"));
    // The host it was to go to had it and has lost it: it is a new one.
    if (!machines_.transit->guests.contains(guest)) found->second.guest = 0;
    machines_.transit->guests.erase(guest);
    found->second.departed = false;
    if (found->second.guest) machines_.transit->holders[guest] = &machines_;
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
      if (auto* transit = machines_.transit) {
        if (!found->second.departed) transit->holders.erase(found->second.guest);
        transit->guests.erase(found->second.guest);
      }
      machines_.machines.erase(found);
    }
    done({});
  });
}

}  // namespace penstock::host
