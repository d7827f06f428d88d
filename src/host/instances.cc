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
  instance.departed = info.departed;
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
      if (!is_new && instance.running == info.running && instance.departed == info.departed &&
          instance.ports == sorted(info.ports))
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
  if (instance.departed) return Progress::kDone;  // take_back() or remove() will say
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

Result<Instances::Progress> Instances::expect(const std::string& driver_name,
                                              const InstanceSpec& spec) {
  const auto found = instances_.find(spec.id);
  if (found != instances_.end() && !found->second.driver.empty()) {
    if (found->second.working) return Progress::kWorking;
    // It has arrived before, and somebody was interrupted.
    if (!found->second.departed) return ensure(driver_name, spec);
  }
  const auto driver = drivers_.find(driver_name);
  if (driver == drivers_.end())
    return fail(Code::kUnimplemented,
                fmt::format("{}: this host has no driver \"{}\"", spec.id, driver_name));
  auto& expected = expected_[spec.id];
  if (expected && *expected == spec) return Progress::kDone;
  expected = spec;
  driver->second->expect_instance(spec, [this, id = spec.id](Status status) {
    if (status) return;
    expected_.erase(id);
    hooks_.finished(id, std::move(status));
  });
  return Progress::kDone;
}

namespace {

std::unexpected<Error> busy(const std::string& id) {
  return fail(Code::kUnavailable, id + ": another operation is under way");
}

}  // namespace

void Instances::depart(const std::string& id, Silent silent, Hypervisor::Handed handed) {
  const auto found = instances_.find(id);
  if (found == instances_.end() || !drivers_.contains(found->second.driver))
    return handed(fail(Code::kNotFound, id + " is not on this host"));
  auto& instance = found->second;
  if (instance.working) return handed(busy(id));
  instance.working = true;
  drivers_.at(instance.driver)
      ->depart(
          id,
          [this, id, silent = std::move(silent)] {
            auto& instance = instances_[id];
            const auto had = instance.ports;
            learn(instance, {id, true, {}, false});
            silent(had);
          },
          [this, id, handed = std::move(handed)](Result<std::string> handle) {
            auto& instance = instances_[id];
            instance.working = false;
            instance.applied.reset();
            if (handle) learn(instance, {id, true, {}, true});
            hooks_.finished(id, handle ? Status{} : std::unexpected(handle.error()));
            handed(std::move(handle));
          });
}

void Instances::take(const std::string& driver_name, const InstanceSpec& spec, bool own,
                     const Take& act, Hypervisor::Done done) {
  const auto driver = drivers_.find(driver_name);
  if (driver == drivers_.end())
    return done(fail(Code::kUnimplemented,
                     fmt::format("{}: this host has no driver \"{}\"", spec.id, driver_name)));
  auto& instance = instances_[spec.id];
  if (instance.working) return done(busy(spec.id));
  instance.driver = driver_name;
  instance.working = true;
  expected_.erase(spec.id);
  act(
      *driver->second,
      [this, id = spec.id](const InstanceInfo& info) {
        learn(instances_[id], info);
        return hooks_.devices_ready(info);
      },
      [this, spec, own, done = std::move(done)](Status status) {
        auto& instance = instances_[spec.id];
        instance.working = false;
        const bool elsewhere =
            !status && (!own || status.error().code == Code::kFailedPrecondition);
        if (status) {
          instance.applied = spec;
          instance.running = true;
          instance.departed = false;
        } else {
          instance.applied.reset();
          // What was let go here belongs here again, whatever fails then: the reconciler goes on.
          if (elsewhere)
            learn(instance, {spec.id, true, {}, true});
          else
            instance.departed = false;
        }
        hooks_.finished(spec.id, elsewhere ? Status{} : status);
        done(std::move(status));
      });
}

void Instances::arrive(const std::string& driver, const InstanceSpec& spec,
                       const std::string& handle, Hypervisor::Done done) {
  take(
      driver, spec, false,
      [&](Hypervisor& hypervisor, auto ready, auto finished) {
        hypervisor.arrive(spec, handle, std::move(ready), std::move(finished));
      },
      std::move(done));
}

void Instances::take_back(const std::string& driver, const InstanceSpec& spec,
                          Hypervisor::Done done) {
  take(
      driver, spec, true,
      [&](Hypervisor& hypervisor, auto ready, auto finished) {
        hypervisor.take_back(spec, std::move(ready), std::move(finished));
      },
      std::move(done));
}

bool Instances::departed(const std::string& id) const {
  const auto found = instances_.find(id);
  return found != instances_.end() && found->second.departed;
}

Result<Instances::Progress> Instances::remove(const std::string& id) {
  expected_.erase(id);
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
