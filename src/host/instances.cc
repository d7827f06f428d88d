#include "host/instances.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace penstock::host {

Instances::Instances(Drivers drivers, Hooks hooks)
    : drivers_(std::move(drivers)), hooks_(std::move(hooks)) {}

Instances::~Instances() = default;

namespace {

// Drivers tell ports in any order.
std::vector<PortDevice> sorted(std::vector<PortDevice> ports) {
  std::ranges::sort(ports, {}, &PortDevice::port);
  return ports;
}

}  // namespace

void Instances::learn(Instance& instance, const InstanceInfo& info) {
  for (const auto& port : instance.ports) devices_.erase(port.port);
  instance.running = info.running;
  instance.ports = sorted(info.ports);
  for (const auto& port : info.ports) devices_[port.port] = port;
}

Result<Instances::Differences> Instances::look() {
  Differences out;
  std::set<std::string> seen;
  for (const auto& [name, driver] : drivers_) {
    for (const auto& info : PENSTOCK_TRY(driver->list())) {
      seen.insert(info.id);
      auto& instance = instances_[info.id];
      if (instance.working) continue;  // in between: the operation will say
      const bool is_new = instance.driver.empty();
      instance.driver = name;
      if (!is_new && instance.running == info.running && instance.ports == sorted(info.ports))
        continue;
      for (const auto& port : instance.ports) out.ports.push_back(port.port);
      for (const auto& port : info.ports) out.ports.push_back(port.port);
      learn(instance, info);
      instance.applied.reset();  // somebody changed it: bring it to its spec again
      out.instances.push_back(info.id);
    }
  }
  for (auto& [id, instance] : instances_) {
    if (seen.contains(id) || instance.working) continue;
    if (instance.ports.empty() && !instance.applied) continue;  // it never came about
    for (const auto& port : instance.ports) out.ports.push_back(port.port);
    learn(instance, {});
    instance.applied.reset();
    out.instances.push_back(id);
  }
  std::erase_if(instances_, [&](const auto& entry) {
    return !seen.contains(entry.first) && !entry.second.working;
  });
  return out;
}

Result<Instances::Progress> Instances::ensure(const std::string& driver_name,
                                              const InstanceSpec& spec) {
  const auto driver = drivers_.find(driver_name);
  if (driver == drivers_.end())
    return fail(Code::kUnimplemented,
                fmt::format("{}: this host has no driver \"{}\"", spec.id, driver_name));
  auto& instance = instances_[spec.id];
  if (instance.working) return Progress::kWorking;
  if (!instance.driver.empty() && instance.driver != driver_name)
    return begin_remove(spec.id, instance);
  if (instance.applied == spec) return Progress::kDone;
  instance.driver = driver_name;
  instance.working = true;
  driver->second->ensure_instance(
      spec,
      [this, id = spec.id](const InstanceInfo& info) {
        learn(instances_[id], info);
        return hooks_.devices_ready(info);
      },
      [this, spec](Status status) {
        auto& done = instances_[spec.id];
        done.working = false;
        done.running = spec.running;
        if (status && !spec.running) learn(done, {spec.id, false, {}});
        if (status)
          done.applied = spec;
        else
          done.applied.reset();
        hooks_.finished(spec.id, std::move(status));
      });
  return Progress::kWorking;
}

Result<Instances::Progress> Instances::remove(const std::string& id) {
  const auto found = instances_.find(id);
  if (found == instances_.end()) return Progress::kDone;
  if (found->second.working) return Progress::kWorking;
  return begin_remove(id, found->second);
}

Result<Instances::Progress> Instances::begin_remove(const std::string& id, Instance& instance) {
  const auto driver = drivers_.find(instance.driver);
  if (driver == drivers_.end()) return Progress::kDone;
  instance.working = true;
  driver->second->remove_instance(id, [this, id](Status status) {
    auto& gone = instances_[id];
    gone.working = false;
    if (status) {
      learn(gone, {});
      instances_.erase(id);
    }
    hooks_.finished(id, std::move(status));
  });
  return Progress::kWorking;
}

const PortDevice* Instances::device(PortId port) const {
  const auto found = devices_.find(port);
  return found == devices_.end() ? nullptr : &found->second;
}

bool Instances::working(const std::string& id) const {
  const auto found = instances_.find(id);
  return found != instances_.end() && found->second.working;
}

std::vector<std::string> Instances::ids() const {
  std::vector<std::string> out;
  for (const auto& [id, instance] : instances_) out.push_back(id);
  return out;
}

std::vector<std::string> Instances::driver_names() const {
  std::vector<std::string> out;
  for (const auto& [name, driver] : drivers_) out.push_back(name);
  return out;
}

}  // namespace penstock::host
