#include "compile/steps/filter/filter.h"

#include <fmt/format.h>

#include "compile/steps/filter/rules.h"
#include "model/schema.h"

namespace penstock {
namespace {

constexpr auto kPath = "spec.filter";

v1::FilterAction or_allow(v1::FilterAction action) {
  return action == v1::FILTER_ACTION_UNSPECIFIED ? v1::ALLOW : action;
}

class FilterPlan : public StepPlan {
 public:
  FilterPlan(v1::FilterConfig config, std::vector<v1::ResolvedRule> rules)
      : config_(std::move(config)), rules_(std::move(rules)) {
    for (const auto& rule : config_.rules()) {
      note(rule.from());
      note(rule.to());
    }
  }

  bool per_tenant() const override { return names_networks_ || !groups_.empty(); }
  const std::map<std::string, v1::LabelSelector>& groups() const override { return groups_; }
  bool names_networks() const override { return names_networks_; }

  void compile(const StepContext& context, v1::PolicyIntent& policy) const override {
    auto& filter = *policy.mutable_filter();
    filter.set_default_out(or_allow(config_.default_out()));
    filter.set_default_in(or_allow(config_.default_in()));
    filter.set_log_default_out(config_.log_default_out());
    filter.set_log_default_in(config_.log_default_in());
    for (int i = 0; i < config_.rules_size(); ++i) {
      const auto& source = config_.rules(i);
      auto rule = rules_[static_cast<std::size_t>(i)];
      // A list of peers that resolves to nobody matches nothing; as an empty list it would match
      // everybody. The rule then is left out: rules keep their index, so what people see does not
      // shift.
      if (!resolve(context, source.from(), *rule.mutable_from()) ||
          !resolve(context, source.to(), *rule.mutable_to()))
        continue;
      *filter.add_rules() = std::move(rule);
    }
  }

  std::vector<std::string> explain() const override {
    std::vector<std::string> out;
    for (int i = 0; i < config_.rules_size(); ++i)
      out.push_back(fmt::format("{} \"{}\": {}", i + 1, rules_[static_cast<std::size_t>(i)].name(),
                                describe_rule(config_.rules(i))));
    const auto line = [&](const char* side, v1::FilterAction action, bool log) {
      out.push_back(fmt::format("default {}: {}{}", side, v1::FilterAction_Name(or_allow(action)),
                                log ? ", logged" : ""));
    };
    line("out", config_.default_out(), config_.log_default_out());
    line("in", config_.default_in(), config_.log_default_in());
    return out;
  }

 private:
  using Peers = google::protobuf::RepeatedPtrField<v1::Peer>;
  const v1::FilterConfig config_;  // values put in
  const std::vector<v1::ResolvedRule> rules_;
  std::map<std::string, v1::LabelSelector> groups_;
  bool names_networks_ = false;

  void note(const Peers& peers) {
    for (const auto& peer : peers) {
      if (peer.has_vms()) groups_.emplace(selector_text(peer.vms()), peer.vms());
      names_networks_ |= !peer.network().empty();
    }
  }

  static bool resolve(const StepContext& context, const Peers& peers,
                      google::protobuf::RepeatedPtrField<v1::ResolvedPeer>& out) {
    for (const auto& peer : peers) {
      if (!peer.cidr().empty())
        out.Add()->set_cidr(peer.cidr());
      else if (peer.self())
        out.Add()->set_self(true);
      else if (peer.has_vms())
        out.Add()->set_group(context.group(peer.vms()));
      else
        for (auto& cidr : context.subnets(peer.network())) out.Add()->set_cidr(std::move(cidr));
    }
    return peers.empty() || !out.empty();
  }
};

class FilterStepKind : public StepKind {
 public:
  std::string_view name() const override { return "filter"; }

  void validate(const v1::ServiceDefinitionSpec& spec, Problems& problems) const override {
    check_rules(spec.filter(), problems, kPath);
    read_all(spec.filter(), problems);
  }

  std::shared_ptr<const StepPlan> plan(const v1::ServiceDefinitionSpec& spec, const Json& values,
                                       Problems& problems) const override {
    v1::FilterConfig config = spec.filter();
    Problems own;
    Origins origins;
    substitute(config, values, own, kPath, &origins);
    std::vector<v1::ResolvedRule> rules;
    if (!own.any()) {
      check_rules(config, own, kPath);
      rules = read_all(config, own);
    }
    for (const auto& p : own.details()) {
      const auto origin = origins.find(p.field);
      if (origin == origins.end())
        problems.add(p.field, p.message, p.hint);
      else
        problems.add("parameters." + origin->second, fmt::format("{} (in {})", p.message, p.field),
                     p.hint);
    }
    if (own.any()) return nullptr;
    return std::make_shared<FilterPlan>(std::move(config), std::move(rules));
  }

 private:
  static std::vector<v1::ResolvedRule> read_all(const v1::FilterConfig& config,
                                                Problems& problems) {
    std::vector<v1::ResolvedRule> out;
    for (int i = 0; i < std::min(config.rules_size(), kFilterRulesMost); ++i)
      out.push_back(
          read_rule(config.rules(i), i, problems,
                    field_path(std::string(kPath) + ".rules", static_cast<std::size_t>(i))));
    return out;
  }
};

}  // namespace

std::unique_ptr<StepKind> make_filter_step_kind() {
  return std::make_unique<FilterStepKind>();
}

}  // namespace penstock
