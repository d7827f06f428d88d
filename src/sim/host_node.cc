#include "sim/host_node.h"

#include <cstring>

#include "abi/port.h"
#include "host/inspect.h"
#include "host/sim/host_world.h"
#include "host/switch/switch_abi.h"

namespace penstock::sim {

struct HostNode::Life {
  SimRuntime runtime;
  SimFiles files;
  std::unique_ptr<host::HostLink> link;
  host::FakeHypervisor machines;
  TappedHypervisor driver;
  host::Agent agent;

  explicit Life(HostNode& node)
      : runtime(node.parts_.clock, node.tunables_),
        files(runtime, node.folder),
        link(node.wire.link()),
        machines(runtime, node.machines),
        driver(machines, node.parts_.trace, node.name_),
        agent(runtime, node.log_, node.tapped_, {{"netns", &driver}}, files, *link,
              {.name = node.name_,
               .state_dir = "/state",
               .version = "sim",
               .kernel = "sim",
               .boot_id = "boot"}) {}
};

HostNode::HostNode(Parts parts, std::string name, int number, const Tunables& tunables,
                   std::function<HostSessions*()> server)
    : kernel(static_cast<std::size_t>(tunables.policy_arena_kib) * 1024,
             static_cast<std::size_t>(tunables.ports_max)),
      machines(kernel),
      wire(parts.clock, parts.trace, name, parts.defect,
           {.server = std::move(server),
            .token = [this] { return token; },
            .host_sends = [this](const v1::HostMessage& message) { sent(message); },
            .server_sends = [](const v1::ServerMessage&) {}}),
      parts_(parts),
      name_(std::move(name)),
      number_(number),
      tunables_(tunables),
      log_(parts.trace, name_),
      reader_(kernel, parts.images),
      tapped_(kernel, parts.clock, parts.trace, name_, parts.defect, [this] { look(); }) {
  host::Link uplink;
  uplink.name = "up0";
  uplink.up = true;
  uplink.mtu = 1500;
  kernel.add_link(uplink);
  machines.after_change = [this] { look(); };
}
HostNode::~HostNode() = default;

const host::Agent& HostNode::agent() const {
  return life_->agent;
}

void HostNode::start() {
  if (life_) return;
  parts_.trace.add("{} starts", name_);
  life_ = std::make_unique<Life>(*this);
  if (auto status = life_->agent.start(); !status) {
    // The program ends, and whoever watches over it starts it again.
    parts_.trace.add("{} could not start: {}", name_, status.error().text());
    crash(true);
    parts_.clock.at(parts_.clock.now() + std::chrono::milliseconds(500), [this] { start(); });
  }
  look();
}

void HostNode::crash(bool told) {
  if (!life_) return;
  parts_.trace.add("{} crashes", name_);
  life_.reset();
  wire.host_died(told);
}

void HostNode::reboot() {
  crash(false);
  parts_.trace.add("{} reboots", name_);
  kernel.reboot();
  machines.reboot();
  generations_.clear();
  last_words_.clear();
  // All it knows now is its file, and an acknowledgement does not wait for that (host/agent.h).
  std::int64_t kept = 0;
  if (const auto file = folder.files.find("/state/intent"); file != folder.files.end())
    if (const auto intent = host::Intent::parse(file->second)) kept = intent->position().revision;
  acknowledged_ = std::min(acknowledged_, kept);
  for (auto& [port, revision] : behind_) revision = std::min(revision, kept);
}

void HostNode::tampered() {
  tampered_until_ =
      parts_.clock.now() + std::chrono::milliseconds(tunables_.reconcile_audit_ms + 100);
}

std::int64_t HostNode::bound(PortId port) const {
  const auto found = behind_.find(port);
  return found == behind_.end() ? acknowledged_ : found->second;
}

void HostNode::look() {
  if (looking_) return;
  looking_ = true;
  parts_.history.catch_up();
  misbehave();
  for (const auto& [id, port] : reader_.read()) {
    for (const auto direction : {PS_OUT, PS_IN}) {
      const auto generation = PS_POLICY_GENERATION(port.words[direction]);
      const auto [known, fresh] =
          generations_[{id, direction}].emplace(generation, port.steps[direction]);
      if (!fresh && known->second != port.steps[direction])
        parts_.verdict.broken(
            "a generation stands for one policy",
            fmt::format("{} port {} direction {}: generation {} was [{}] and is [{}]", name_,
                        id.value, static_cast<int>(direction), generation, known->second,
                        port.steps[direction]));
    }
    if (!port.forwards) continue;
    const auto from = bound(id);
    if (!parts_.history.ever_since(name_, from, id, port.facet))
      parts_.verdict.broken(
          "a port that forwards is under an acknowledged policy or a newer one",
          fmt::format("{} port {}: {}\n  acknowledged: revision {}; wanted:{}", name_, id.value,
                      port.facet, from, parts_.history.wanted_since(name_, from, id)));
  }
  looking_ = false;
}

void HostNode::sent(const v1::HostMessage& message) {
  if (message.has_hello()) {
    parts_.trace.add("{} sends hello at {}", name_, message.hello().position().revision());
  } else if (message.has_ack()) {
    std::string troubles;
    for (const auto& item : message.ack().not_ready()) troubles += " " + item.key();
    parts_.trace.add("{} sends ack of {}{}{}", name_, message.ack().position().revision(),
                     troubles.empty() ? "" : ", not ready:", troubles);
    acknowledge(message.ack());
  }
}

// From here on the host has said so.
void HostNode::acknowledge(const v1::Ack& ack) {
  parts_.history.catch_up();
  const auto revision = ack.position().revision();
  if (revision > parts_.history.revision())
    return parts_.verdict.broken("a host acknowledges what exists",
                                 fmt::format("{}: revision {}", name_, revision));
  std::set<std::string> troubles;
  for (const auto& item : ack.not_ready()) troubles.insert(item.key());
  const auto& expected = parts_.history.at(name_, revision);
  const auto enforced = reader_.read();

  std::map<PortId, std::int64_t> behind;
  for (const auto& [id, port] : enforced)
    if (!expected.ports.contains(id) && troubles.contains(host::port_key(id.value)))
      behind[id] = bound(id);
  for (const auto& [id, wanted] : expected.ports) {
    const bool troubled = std::ranges::any_of(
        wanted.keys, [&](const std::string& key) { return troubles.contains(key); });
    if (troubled) {
      behind[id] = bound(id);
      continue;
    }
    const auto found = enforced.find(id);
    if (found == enforced.end() || found->second.facet != wanted.facet)
      parts_.verdict.broken(
          "what is acknowledged is in the kernel",
          fmt::format("{} acknowledges revision {}; port {}\n  wanted: {}\n  is:     {}", name_,
                      revision, id.value, wanted.facet,
                      found == enforced.end() ? "not there" : found->second.facet));
    else if (found->second.device && !found->second.forwards &&
             parts_.clock.now() > tampered_until_)
      parts_.verdict.broken("what is acknowledged works",
                            fmt::format("{} acknowledges revision {}; port {} has a device and "
                                        "does not forward",
                                        name_, revision, id.value));
  }
  newest_ack_ = std::max(newest_ack_, revision);
  acknowledged_ = revision;
  behind_ = std::move(behind);
  look();
}

bool HostNode::in_step(std::string* why) const {
  if (!life_) return *why = "not running", false;
  const auto& agent = life_->agent;
  if (!agent.session().connected()) return *why = agent.session().last_error(), false;
  const auto wanted = parts_.history.at(name_, parts_.history.revision()).intent.digest().text();
  if (agent.intent().digest().text() != wanted)
    return *why = "holds another intent than it should: " + agent.intent().position().text(), false;
  if (!agent.reconciler().troubles().empty()) {
    const auto& [key, first] = *agent.reconciler().troubles().begin();
    return *why = key + ": " + first.message, false;
  }
  return true;
}

void HostNode::compare_with_fresh() {
  const auto& wanted = parts_.history.at(name_, parts_.history.revision());
  host::HostWorld fresh(1, tunables_);
  v1::ServerMessage full;
  full.mutable_position()->set_incarnation("A");
  full.mutable_position()->set_revision(1);
  full.mutable_position()->set_epoch(1);
  full.mutable_full();
  for (const auto& [key, bytes] : wanted.intent.items)
    *full.mutable_full()->add_items() = parse_item(*bytes);
  fresh.server.on_message = [&](const v1::HostMessage& message) {
    if (message.has_hello()) fresh.server.say(full);
  };
  if (const auto status = fresh.start(); !status)
    return parts_.verdict.broken("a fresh host starts", status.error().text());
  fresh.run(std::chrono::seconds(3));
  const auto ours = host::canonical_state(kernel), theirs = host::canonical_state(fresh.kernel);
  if (!ours || !theirs)
    return parts_.verdict.broken("the kernel can be read",
                                 (!ours ? ours.error() : theirs.error()).text());
  parts_.trace.add("{} holds {}", name_, digest(*ours).text());
  if (*ours != *theirs) {
    const auto differ = std::ranges::mismatch(*ours, *theirs);
    const auto at = static_cast<std::size_t>(differ.in1 - ours->begin());
    const auto line = ours->rfind('\n', at) + 1;
    parts_.verdict.broken("a host that came step by step equals a fresh one",
                          fmt::format("{}\n  is:    {}\n  fresh: {}", name_,
                                      ours->substr(line, ours->find('\n', at) - line),
                                      theirs->substr(line, theirs->find('\n', at) - line)));
  }
  const auto inspected = host::inspect(kernel).value();
  for (const auto& [id, port] : inspected)
    for (const auto& direction : port.direction)
      if (!direction.damage.empty())
        parts_.verdict.broken("policies can be decoded",
                              fmt::format("{} port {}: {}", name_, id.value, direction.damage));
  std::vector<std::string> machines_here, machines_there;
  for (const auto& [id, machine] : machines.machines)
    machines_here.push_back(id + (machine.sending ? "" : " silent"));
  for (const auto& [id, machine] : fresh.machines.machines)
    machines_there.push_back(id + (machine.sending ? "" : " silent"));
  if (machines_here != machines_there)
    parts_.verdict.broken("the machines of a host are those of a fresh one", name_);
  if (life_->agent.reconciler().arena().lines_held() !=
      fresh.agent().reconciler().arena().lines_held())
    parts_.verdict.broken("policy memory does not leak",
                          fmt::format("{} holds {} lines, a fresh host {}", name_,
                                      life_->agent.reconciler().arena().lines_held(),
                                      fresh.agent().reconciler().arena().lines_held()));
}

// The planted defects that are writes to shared memory.
void HostNode::misbehave() {
  const auto bytes = kernel.ports();
  auto* array = reinterpret_cast<ps_port*>(bytes.data());
  const auto slots = bytes.size() / sizeof(ps_port);
  auto& random = parts_.clock.random();
  switch (parts_.defect) {
    case Defect::kReuseGeneration:
      for (std::size_t slot = 0; slot < slots; ++slot) {
        auto& port = array[slot];
        if (port.port_id == 0) continue;
        auto& last = last_words_[PortId(port.port_id)];
        for (const auto direction : {PS_OUT, PS_IN}) {
          auto& word = port.policy[direction];
          if (PS_POLICY_GENERATION(last[direction]) != 0)
            word = PS_POLICY(PS_POLICY_GENERATION(last[direction]), PS_POLICY_LINE(word));
          last[direction] = word;
        }
      }
      return;
    case Defect::kOverwritePolicy:
    case Defect::kWrongNetwork: {
      if (random.below(20) != 0) return;
      std::vector<std::size_t> used;
      for (std::size_t slot = 0; slot < slots; ++slot)
        if (array[slot].port_id != 0) used.push_back(slot);
      if (used.empty()) return;
      auto& port = array[used[random.below(used.size())]];
      const auto line = PS_POLICY_LINE(port.policy[PS_OUT]);
      if (parts_.defect == Defect::kWrongNetwork)
        port.vni ^= 1;
      else if (line != 0)
        kernel.arena()[line * host::Arena::kLineBytes + sizeof(ps_step_list)] ^= std::byte{1};
      return;
    }
    default:
      return;
  }
}

}  // namespace penstock::sim
