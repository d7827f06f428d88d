#include "host/explain.h"

#include <charconv>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "host/inspect.h"
#include "net/switch_number.h"

namespace penstock::host {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const google::protobuf::Message& message) {
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text).ok()) return nullptr;
  return Json::parse(text, nullptr, false);
}

Json position_json(const Position& position) {
  if (position.incarnation.empty()) return nullptr;
  return {{"incarnation", position.incarnation},
          {"revision", position.revision},
          {"epoch", position.epoch}};
}

Json direction_json(const InspectedDirection& direction, const Agent& agent) {
  Json out{{"generation", direction.generation}, {"line", direction.line}};
  if (!direction.damage.empty()) out["damage"] = direction.damage;
  out["steps"] = Json::array();
  for (const auto& step : direction.steps) {
    Json entry{{"policy", step.policy}, {"rules", step.rules.rules.size()}};
    if (const auto* policy = agent.intent().policy_numbered(step.policy)) {
      entry["profile"] = policy->profile();
      entry["level"] = policy->level();
    }
    if (step.observe) entry["observe"] = true;
    out["steps"].push_back(std::move(entry));
  }
  return out;
}

// What is wanted of a port against what its bytes say.
Result<Json> port_json(const Agent& agent, Kernel& kernel, std::uint32_t id, Json& difference) {
  const auto ports = PENSTOCK_TRY(inspect(kernel));
  const auto found = ports.find(PortId(id));
  const auto* wanted = agent.intent().port(id);
  if (found == ports.end()) {
    if (wanted) difference.push_back("the switch has no such port");
    return Json(nullptr);
  }
  const auto& port = found->second;
  if (!wanted) difference.push_back("nobody wants this port");
  if (!port.device_exists)
    difference.push_back("it has no device");
  else if (!port.programs)
    difference.push_back("a program is not attached to its device");
  else if (!port.let_in)
    difference.push_back("its device does not lead to it");
  for (const auto direction : {0, 1}) {
    using Steps = std::vector<std::pair<std::uint32_t, bool>>;  // number, observes
    Steps want, have;
    if (wanted)
      for (const auto& step : wanted->steps())
        want.emplace_back(switch_number(step.policy()), step.observe());
    if (direction == 1) std::reverse(want.begin(), want.end());
    for (const auto& step : port.direction[direction].steps)
      have.emplace_back(step.policy, step.observe);
    if (have != want)
      difference.push_back(fmt::format("steps {}: {} wanted, {} in force",
                                       direction == 0 ? "out" : "in", want.size(),
                                       port.direction[direction].steps.size()));
  }
  return Json{{"slot", port.slot},
              {"ifindex", port.ifindex},
              {"live", port.forwards()},
              {"out", direction_json(port.direction[0], agent)},
              {"in", direction_json(port.direction[1], agent)}};
}

Json trouble_json(const Trouble& trouble) {
  return {{"reason", trouble.reason},
          {"message", trouble.message},
          {"tries", trouble.tries},
          {"final", trouble.final}};
}

}  // namespace

Json status(const Agent& agent) {
  const auto& reconciler = agent.reconciler();
  Json not_ready = Json::array();
  for (const auto& [key, trouble] : reconciler.troubles()) {
    auto entry = trouble_json(trouble);
    entry["key"] = key;
    not_ready.push_back(std::move(entry));
  }
  return {{"host", agent.options().name},
          {"version", agent.options().version},
          {"position", position_json(agent.intent().position())},
          {"connected", agent.session().connected()},
          {"lastError", agent.session().last_error()},
          {"lastRefusal", agent.last_refusal()},
          {"holding", agent.holding()},
          {"items", agent.intent().items().size()},
          {"notReady", std::move(not_ready)},
          {"ports", reconciler.ports().table().ports().size()},
          {"instances", reconciler.instances().ids()},
          {"arena",
           {{"linesHeld", reconciler.arena().lines_held()},
            {"linesReleased", reconciler.arena().lines_released()},
            {"lines", reconciler.arena().lines()}}}};
}

Result<Json> explain(const Agent& agent, Kernel& kernel, std::string_view item) {
  std::string key;
  for (const auto* prefix : {"10/", "20/", "30/", "40/", "50/", "60/", "70/"})
    if (const auto candidate = prefix + std::string(item);
        agent.intent().items().contains(candidate) ||
        agent.reconciler().troubles().contains(candidate))
      key = candidate;
  Json difference = Json::array(), observed, waiting;
  std::uint32_t port = 0;
  if (item.starts_with("port/")) std::from_chars(item.data() + 5, item.data() + item.size(), port);
  if (port != 0) {
    observed = PENSTOCK_TRY(port_json(agent, kernel, port, difference));
    if (key.empty() && !observed.is_null()) key = port_key(port);
  }
  if (key.empty())
    return fail(
        Code::kNotFound, fmt::format("{} is neither wanted on this host nor there", item),
        "keys look like port/5, policy/3, vm/acme/web-1, net/7, group/2, nbr/7/90, switch/vs0");
  Json desired;
  if (const auto found = agent.intent().items().find(key); found != agent.intent().items().end())
    desired = json_of(*found->second);
  if (const auto found = agent.reconciler().troubles().find(key);
      found != agent.reconciler().troubles().end()) {
    waiting = found->second.message;
    difference.push_back(found->second.message);
    if (port == 0) observed = trouble_json(found->second);
  } else if (port == 0) {
    observed = "applied";
  }
  if (agent.holding()) waiting = "the server: the kept intent is older than what the switch holds";
  return Json{{"key", key},
              {"desired", std::move(desired)},
              {"observed", std::move(observed)},
              {"difference", std::move(difference)},
              {"waitingFor", std::move(waiting)}};
}

Json answer(const Agent& agent, Kernel& kernel, std::string_view request) {
  const auto error = [](Code code, std::string_view message) {
    return Json{{"error", {{"code", name(code)}, {"message", message}}}};
  };
  const auto parsed = Json::parse(request, nullptr, false);
  if (!parsed.is_object())
    return error(Code::kInvalidArgument, "a request is one JSON object on one line");
  if (parsed.contains("status")) return status(agent);
  if (parsed.contains("explain") && parsed["explain"].is_string()) {
    auto out = explain(agent, kernel, parsed["explain"].get<std::string>());
    return out ? std::move(*out) : error(out.error().code, out.error().message);
  }
  return error(Code::kInvalidArgument,
               "a request is {\"status\": {}} or {\"explain\": \"port/5\"}");
}

}  // namespace penstock::host
