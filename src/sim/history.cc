#include "sim/history.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "compile/policy/build.h"
#include "host/intent.h"
#include "host/policy_rules.h"
#include "model/approval.h"
#include "model/availability.h"
#include "model/ids.h"

namespace penstock::sim {
namespace {

constexpr std::string_view kCounters = "/penstock/v1/counters/";

Result<Edit> edit_of(const KeyEvent& event) {
  if (event.key.starts_with(kCounters)) {
    Counter counter{event.key.substr(kCounters.size()), 0};
    const auto& text = event.value.value_or("");
    std::from_chars(text.data(), text.data() + text.size(), counter.value);
    return Edit::set(std::move(counter));
  }
  auto key = PENSTOCK_TRY(ObjectKey::parse_store_key(event.key));
  if (!event.value) return Edit::erase(std::move(key));
  std::shared_ptr<Message> object = key.kind->make();
  if (!object->ParseFromString(*event.value))
    return fail(Code::kInternal, event.key + " does not parse");
  return Edit::put(std::move(object));
}

}  // namespace

History::History(const SimDisk& disk, Book& images, Verdict& verdict,
                 std::vector<std::string> hosts)
    : disk_(disk),
      images_(images),
      verdict_(verdict),
      step_kinds_(standard_step_kinds()),
      full_(step_kinds_),
      incremental_(step_kinds_) {
  for (auto& host : hosts) {
    kept_up_[host] = {};
    expected_[std::move(host)][0] = {};
  }
  head_ = head_.with_incarnation(disk.incarnation());
}
History::~History() = default;

void History::catch_up() {
  if (disk_.latest().value == head_.revision()) return;
  for (auto entry = disk_.log().upper_bound(Revision{head_.revision()}); entry != disk_.log().end();
       ++entry)
    take(entry->second);
}

void History::take(const WatchEvents& update) {
  count_operations(update);
  std::vector<Edit> edits;
  bool structure = false;
  for (const auto& event : update.events) {
    if (!event.key.starts_with(kStorePrefix)) continue;
    auto edit = edit_of(event);
    if (!edit) return verdict_.broken("the store holds what can be read", edit.error().text());
    structure = structure || (edit->key.kind && (edit->key.kind->name == "VirtualMachine" ||
                                                 edit->key.kind->name == "VirtualNetwork"));
    edits.push_back(std::move(*edit));
  }
  const auto before = head_;
  head_ = head_.with(edits, update.revision.value);
  if (structure) check_inventory();
  for (const auto& [host, change] : incremental_.changes(before, head_, edits)) {
    const auto found = kept_up_.find(host);
    if (found == kept_up_.end()) continue;
    change.apply_to(found->second);
    auto intent = full_.compile(head_, host);
    if (!(intent == found->second))
      return verdict_.broken("incremental compile equals full compile",
                             fmt::format("host {} at revision {}", host, update.revision.value));
    expected_[host][update.revision.value] = expect(std::move(intent));
  }
  if (++since_check_ >= 16) check_compiler();
}

// What waits for approval or was refused is on no port, and nothing goes before what is mandatory.
void History::check_services() const {
  for (const auto& [host, intent] : kept_up_)
    for (const auto& [key, bytes] : intent.items) {
      if (!key.starts_with("60/port/")) continue;
      const auto item = parse_item(*bytes);
      const auto vm = head_.find<v1::VirtualMachine>(item.port().tenant(), item.port().vm());
      if (!vm) continue;
      const auto& nics = vm->spec().nics();
      const auto nic = std::ranges::find(nics, item.port().nic(), &v1::Nic::name);
      if (nic == nics.end()) continue;
      for (const auto& step : item.port().steps()) {
        const auto name = step.enablement().substr(step.enablement().find('/') + 1);
        const auto e = head_.find<v1::Enablement>(item.port().tenant(), name);
        if (!e || !in_force(*e))
          verdict_.broken("nothing is on that waits for approval or was refused",
                          fmt::format("{} on {} of host {}", step.enablement(), key, host));
        else if (!e->spec().mandatory())
          for (const auto& other : enablements_covering(head_, *vm)) {
            const auto& spec = other->spec();
            const bool here = !(spec.has_nic() && spec.nic().nic() != item.port().nic()) &&
                              !(spec.has_network() && spec.network() != nic->network());
            if (here && spec.mandatory() && spec.profile() == step.profile() && in_force(*other))
              verdict_.broken("nothing goes before what is mandatory",
                              fmt::format("{} on {} of host {}, not {}", step.enablement(), key,
                                          host, other->metadata().name()));
          }
      }
    }
}

void History::check_compiler() {
  since_check_ = 0;
  check_services();
  for (const auto& [host, kept] : kept_up_)
    if (!(full_.compile(head_, host) == kept))
      verdict_.broken(
          "incremental compile equals full compile",
          fmt::format("host {} was not told to change by revision {}", host, head_.revision()));
}

// Tenants share nothing that the switch tells them apart by.
void History::check_inventory() const {
  std::map<std::int32_t, std::string> vnis;
  head_.each<v1::VirtualNetwork>([&](const v1::VirtualNetwork& network) {
    const auto name = key_of(network).text();
    const auto [other, fresh] = vnis.emplace(network.spec().vni(), name);
    if (!fresh || network.spec().vni() == 0)
      verdict_.broken("networks have numbers of their own",
                      fmt::format("{} and {}: VNI {}", name, other->second, network.spec().vni()));
  });
  std::map<std::uint32_t, std::string> ports;
  std::map<std::pair<std::string, std::string>, std::string> used;
  head_.each<v1::VirtualMachine>([&](const v1::VirtualMachine& vm) {
    for (const auto& nic : vm.spec().nics()) {
      const auto name = key_of(vm).text() + "/" + nic.name();
      const auto [other, fresh] = ports.emplace(nic.port_id(), name);
      if (!fresh || nic.port_id() == 0)
        verdict_.broken("ports have numbers of their own",
                        fmt::format("{} and {}: {}", name, other->second, nic.port_id()));
      const auto network = vm.metadata().tenant() + "/" + nic.network();
      if (!head_.find<v1::VirtualNetwork>(vm.metadata().tenant(), nic.network()))
        verdict_.broken("a NIC's network exists", fmt::format("{}: {}", name, network));
      std::vector<std::string> own{nic.mac()};
      own.insert(own.end(), nic.addresses().begin(), nic.addresses().end());
      for (const auto& what : own)
        if (const auto [user, first] = used.emplace(std::pair{network, what}, name); !first)
          verdict_.broken("endpoints of a network are distinct",
                          fmt::format("{} and {}: {} in {}", name, user->second, what, network));
    }
  });
}

void History::count_operations(const WatchEvents& update) {
  for (const auto& event : update.events) {
    const auto key = ObjectKey::parse_store_key(event.key);
    if (!key) continue;
    std::string operation;
    if (event.value) {
      const auto object = key->kind->make();
      if (!object->ParseFromString(*event.value)) continue;
      const auto& annotations = metadata_of(*object).annotations();
      if (const auto found = annotations.find(kOperation); found != annotations.end())
        operation = found->second;
    }
    auto& writer = writer_[event.key];
    if (!operation.empty() && operation != writer && ++effects_[{operation, event.key}] > 1)
      verdict_.broken(
          "a request takes effect once",
          fmt::format("operation {} wrote {} again at revision {}, over operation {}", operation,
                      event.key, update.revision.value, writer.empty() ? "(deleted)" : writer));
    writer = operation;
  }
}

const std::array<int, 2>& History::images_of(const CompiledItem& item) {
  const auto known = policy_images_.find(item.bytes);
  if (known != policy_images_.end()) return known->second;
  std::array<int, 2> made{-2, -2};
  if (auto rules = host::policy_rules(parse_item(item).policy().filter()))
    for (const auto direction : {PS_OUT, PS_IN})
      if (const auto image = policy::build_policy(rules->direction[direction].set))
        made[direction] = images_.number_of(
            {reinterpret_cast<const char*>(image->bytes().data()), image->bytes().size()});
  return policy_images_.emplace(item.bytes, made).first->second;
}

Expected History::expect(HostIntent intent) {
  Expected out;
  out.intent = std::move(intent);
  for (const auto& [key, bytes] : out.intent.items) {
    if (!key.starts_with("60/port/")) continue;
    const auto item = parse_item(*bytes);
    const auto& port = item.port();
    Expected::Port expected;
    expected.keys = {key, host::instance_key(port.tenant(), port.vm()),
                     host::network_key(port.vni())};
    std::array<std::string, 2> steps;
    const auto count = port.steps_size();
    for (int i = 0; i < count; ++i)
      for (const auto direction : {PS_OUT, PS_IN}) {
        const auto& step = port.steps(direction == PS_OUT ? i : count - 1 - i);
        const auto policy_key = host::policy_key(step.policy());
        expected.keys.insert(policy_key);
        const auto policy = out.intent.items.find(policy_key);
        const int image =
            policy == out.intent.items.end() ? -3 : images_of(*policy->second)[direction];
        steps[direction] += fmt::format("{}{}{}:i{}", i ? " " : "", switch_number(step.policy()),
                                        step.observe() ? "?" : "", image);
      }
    const auto mac = Mac::parse(port.mac()).value();
    expected.facet = facet(port.vni(), mac.bytes, steps[PS_OUT], steps[PS_IN]);
    out.ports.emplace(PortId(port.id()), std::move(expected));
  }
  return out;
}

const Expected& History::at(const std::string& host, std::int64_t revision) const {
  return std::prev(expected_.at(host).upper_bound(revision))->second;
}

bool History::ever_since(const std::string& host, std::int64_t from, PortId port,
                         const std::string& facet) const {
  const auto& all = expected_.at(host);
  for (auto entry = std::prev(all.upper_bound(from)); entry != all.end(); ++entry) {
    const auto found = entry->second.ports.find(port);
    if (found != entry->second.ports.end() && found->second.facet == facet) return true;
  }
  return false;
}

std::string History::wanted_since(const std::string& host, std::int64_t from, PortId port) const {
  std::string out;
  const auto& all = expected_.at(host);
  for (auto entry = std::prev(all.upper_bound(from)); entry != all.end(); ++entry) {
    const auto found = entry->second.ports.find(port);
    out += fmt::format("\n    from revision {}: {}", entry->first,
                       found == entry->second.ports.end() ? "no such port" : found->second.facet);
  }
  return out;
}

bool History::concerns(const std::string& host, std::int64_t revision) const {
  return expected_.at(host).contains(revision);
}

const KeyEvent* History::event(std::int64_t revision, const std::string& key) const {
  const auto found = disk_.log().find(Revision{revision});
  if (found == disk_.log().end()) return nullptr;
  for (const auto& event : found->second.events)
    if (event.key == key) return &event;
  return nullptr;
}

}  // namespace penstock::sim
