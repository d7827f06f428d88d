#include "sim/server_node.h"

#include <algorithm>

namespace penstock::sim {

struct ServerNode::Life {
  SimRuntime runtime;
  SimStore store;
  TappedStore tapped;
  SimAuditLog audit_log;
  Server server;
  bool serving = false;

  explicit Life(ServerNode& node)
      : runtime(node.clock_, node.tunables_),
        store(runtime, node.disk),
        tapped(store, node.clock_, node.trace_, node.defect_),
        audit_log(runtime, node.audit_paper),
        server(runtime, node.log_, tapped, audit_log) {}
};

ServerNode::ServerNode(SimClock& clock, Trace& trace, Verdict& verdict, const Tunables& tunables,
                       std::string incarnation, Defect defect)
    : disk(std::move(incarnation)),
      clock_(clock),
      trace_(trace),
      verdict_(verdict),
      tunables_(tunables),
      defect_(defect),
      log_(trace, "server") {}
ServerNode::~ServerNode() = default;

void ServerNode::start() {
  if (life_) return;
  ++lives_;
  trace_.add("server starts");
  life_ = std::make_unique<Life>(*this);
  life_->server.start(
      [this](const std::string& secret) -> Status {
        admin = secret;
        return {};
      },
      [this](Status status) { started(std::move(status)); });
}

void ServerNode::started(Status status) {
  if (status) {
    life_->serving = true;
    trace_.add("server serves");
    if (on_serving) on_serving();
    return;
  }
  trace_.add("server could not start: {}", status.error().text());
  // The program ends (not within its own callback), and whoever watches over it starts it again.
  clock_.at(clock_.now() + std::chrono::milliseconds(300), [this, number = lives_] {
    if (number != lives_ || !life_) return;
    life_.reset();
    start();
  });
}

void ServerNode::crash() {
  if (!life_) return;
  trace_.add("server crashes");
  life_.reset();
}

Server* ServerNode::serving() const {
  return life_ && life_->serving ? &life_->server : nullptr;
}

void ServerNode::compare_with(const History& history) const {
  auto* server = serving();
  if (!server || !server->engine().serving()) return;
  const auto& head = server->engine().head();
  const auto& truth = history.head();
  if (head.revision() != truth.revision())
    return verdict_.broken(
        "the server serves what the store holds",
        fmt::format("revision {} instead of {}", head.revision(), truth.revision()));
  if (head.index_dump() != truth.index_dump())
    return verdict_.broken("the server serves what the store holds", "indexes differ");
  for (const auto& kind : kinds()) {
    std::map<ObjectKey, std::string> served;
    head.each(kind, [&](const ObjectKey& key, const MessagePtr& object, std::int64_t revision) {
      served[key] = std::to_string(revision) + serialize(*object);
      return true;
    });
    truth.each(kind, [&](const ObjectKey& key, const MessagePtr& object, std::int64_t revision) {
      const auto found = served.find(key);
      if (found == served.end() || found->second != std::to_string(revision) + serialize(*object))
        verdict_.broken("the server serves what the store holds", key.describe());
      else
        served.erase(found);
      return true;
    });
    if (!served.empty())
      verdict_.broken("the server serves what the store holds",
                      served.begin()->first.describe() + " is not in the store");
  }
}

}  // namespace penstock::sim
