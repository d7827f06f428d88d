// What an enable costs from proposal to deltas, with 5,000 VMs registered. Prints microseconds,
// median of the runs.
#include <algorithm>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>

#include "compile/intent.h"
#include "model/testing/world.h"

namespace {

using namespace penstock;

double microseconds(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

double median(std::vector<double> v) {
  std::ranges::sort(v);
  return v[v.size() / 2];
}

}  // namespace

int main() {
  const auto kinds = standard_step_kinds();
  penstock::testing::World world(kinds);
  const auto check = [](const Status& status) {
    if (!status) std::fprintf(stderr, "%s\n", status.error().text().c_str()), std::exit(1);
  };
  check(world.put(penstock::testing::figure1()));
  check(world.put(
      R"({"kind": "VirtualNetwork", "metadata": {"tenant": "acme", "name": "big"}, "spec": {"subnets": [{"cidr": "10.64.0.0/16", "gateway": "10.64.0.1"}]}})"));
  const auto register_us = microseconds([&] {
    for (int i = 0; i < 5'000; ++i)
      check(world.put(fmt::format(
          R"({{"kind": "VirtualMachine", "metadata": {{"tenant": "acme", "name": "vm-{}", "labels": {{"pool": "p{}"}}}}, "spec": {{"power": "{}", "nics": [{{"name": "eth0", "network": "big"}}]}}}})",
          i, i / 1000, i % 50 == 0 || i < 1000 ? "RUNNING" : "STOPPED")));
  });
  std::printf("register_vm %.1f us each\n", register_us / 5'000);
  check(world.put(
      R"({"kind": "VmPool", "metadata": {"tenant": "acme", "name": "thousand"}, "spec": {"selector": {"matchLabels": {"pool": "p0"}}}})"));

  Compiler compiler(kinds);
  std::printf("compile_host %.0f us\n", microseconds([&] { compiler.compile(world.now(), "h1"); }));
  auto head = world.now();
  const auto apply = [&](const Message& proposal) {
    return microseconds([&] {
      const auto admission = admit(head, proposal, world.context);
      if (!admission) std::fprintf(stderr, "%s\n", admission.error().text().c_str()), std::exit(1);
      const auto next = head.with(admission->edits, head.revision() + 1);
      compiler.changes(head, next, admission->edits);
      head = next;
    });
  };
  std::vector<double> single, pool;
  for (int i = 0; i < 500; ++i) {
    v1::Enablement e;
    e.mutable_metadata()->set_tenant("acme");
    e.mutable_spec()->set_profile("office-firewall");
    e.mutable_spec()->set_vm(fmt::format("vm-{}", i));
    single.push_back(apply(e));
  }
  std::printf("enable_vm %.1f us\n", median(single));
  for (const char* level : {"basic", "strict", "basic", "strict", "basic"}) {
    v1::Enablement e;
    e.mutable_metadata()->set_tenant("acme");
    e.mutable_metadata()->set_name("on-pool");
    e.mutable_spec()->set_profile("office-firewall");
    e.mutable_spec()->set_level(level);
    e.mutable_spec()->set_pool("thousand");
    pool.push_back(apply(e));
  }
  std::printf("enable_pool_1000 %.0f us\n", median(pool));
}
