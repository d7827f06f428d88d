#include <algorithm>

#include <fmt/format.h>

#include <google/protobuf/util/message_differencer.h>

#include "model/availability.h"
#include "model/json_names.h"
#include "model/labels.h"
#include "model/schema.h"
#include "model/validate/validate.h"

namespace penstock {
namespace {

using Strings = google::protobuf::RepeatedPtrField<std::string>;

constexpr int kListMost = 256;  // endpoints, levels, health checks of one definition

bool is_url(std::string_view text) {
  const auto scheme = text.find("://");
  return scheme != text.npos && scheme > 0 && text.size() > scheme + 3 && text.size() <= 2048 &&
         std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

class DefinitionCheck {
 public:
  DefinitionCheck(const v1::ServiceDefinitionSpec& spec, const ValidateContext& context,
                  Problems& problems)
      : spec_(spec), context_(context), problems_(problems) {}

  void run() {
    if (spec_.vendor().empty()) add("vendor", "is required");
    if (spec_.service_name().empty()) add("serviceName", "is required");
    if (spec_.version().empty()) add("version", "is required");
    contact();
    endpoints();
    const auto schema = Schema::parse(spec_.parameters(), problems_, "spec.parameters");
    levels(schema);
    mode();
    placeholders(schema);
    health();
    deployment();
  }

 private:
  const v1::ServiceDefinitionSpec& spec_;
  const ValidateContext& context_;
  Problems& problems_;
  std::vector<std::string> endpoint_names_;

  void add(std::string_view field, std::string message, std::string hint = {}) {
    problems_.add(field_path("spec", field), std::move(message), std::move(hint));
  }
  bool few(int size, std::string_view field) {
    if (size > kListMost) add(field, fmt::format("{} of them: at most {}", size, kListMost));
    return size <= kListMost;
  }

  void contact() {
    const auto& c = spec_.administrator();
    const auto at = c.email().find('@');
    if (!c.email().empty() && (at == 0 || at == std::string::npos || at + 1 == c.email().size()))
      add("administrator.email", fmt::format("\"{}\" is not an address", c.email().substr(0, 80)));
    if (!c.url().empty() && !is_url(c.url()))
      add("administrator.url", "is not a URL", "https://...");
    if (!spec_.management_url().empty() &&
        !(is_url(spec_.management_url()) && spec_.management_url().starts_with("http")))
      add("managementUrl", "is not an http or https URL");
  }

  void endpoints() {
    if (!few(spec_.endpoints_size(), "endpoints")) return;
    std::set<std::string> seen;
    for (int i = 0; i < spec_.endpoints_size(); ++i) {
      const auto& e = spec_.endpoints(i);
      const auto at = field_path("spec.endpoints", static_cast<std::size_t>(i));
      check_name(e.name(), problems_, field_path(at, "name"));
      check_unique(seen, e.name(), problems_, field_path(at, "name"));
      endpoint_names_.push_back(e.name());
      if (e.weight() < 0)
        problems_.add(field_path(at, "weight"), fmt::format("{} is below 0", e.weight()));
      switch (e.at_case()) {
        case v1::Endpoint::kUrl:
          if (!is_url(e.url()) && !has_placeholder(e.url()))
            problems_.add(field_path(at, "url"), "is not a URL", "https://...");
          break;
        case v1::Endpoint::kAddress:
          if (auto a = IpAddress::parse(e.address()); !a && !has_placeholder(e.address()))
            problems_.add(field_path(at, "address"), a.error());
          break;
        case v1::Endpoint::kVm:
          check_exists<v1::VirtualMachine>(context_.snapshot, e.vm().tenant(), e.vm().name(),
                                           problems_, field_path(at, "vm"));
          break;
        case v1::Endpoint::kDevice:
          device(e.device(), field_path(at, "device"));
          break;
        case v1::Endpoint::AT_NOT_SET:
          problems_.add(at, "says nowhere where it is", "exactly one of url, address, vm, device");
      }
    }
  }

  void device(const v1::PhysicalDevice& d, const std::string& at) {
    if (d.vtep().empty() == d.host().empty())
      problems_.add(at, "is either at a host's interface or behind a VTEP");
    if (!d.host().empty()) {
      check_exists<v1::Host>(context_.snapshot, "", d.host(), problems_, field_path(at, "host"));
      if (d.interface().empty())
        problems_.add(field_path(at, "interface"), "is required with a host");
    }
    if (!d.vtep().empty())
      if (auto a = IpAddress::parse(d.vtep()); !a) problems_.add(field_path(at, "vtep"), a.error());
    if (d.vni() < 0 || d.vni() > 16'777'215)
      problems_.add(field_path(at, "vni"), fmt::format("{} is not a VNI", d.vni()));
  }

  void levels(const Schema& schema) {
    if (spec_.levels().empty())
      add("levels", "must have at least one", "levels: [{name: standard}]");
    if (!few(spec_.levels_size(), "levels")) return;
    std::set<std::string> seen;
    for (int i = 0; i < spec_.levels_size(); ++i) {
      const auto& level = spec_.levels(i);
      const auto at = field_path("spec.levels", static_cast<std::size_t>(i));
      check_name(level.name(), problems_, field_path(at, "name"));
      check_unique(seen, level.name(), problems_, field_path(at, "name"));
      check_limits(level.limits(), problems_, field_path(at, "limits"));
      schema.check(to_json(level.parameters()), problems_, field_path(at, "parameters"), false);
    }
  }

  void uses(const Strings& names, const std::string& at, bool required) {
    if (required && names.empty()) problems_.add(at, "must name at least one of spec.endpoints");
    for (int i = 0; i < names.size(); ++i)
      if (!has_placeholder(names[i]) &&
          std::ranges::find(endpoint_names_, names[i]) == endpoint_names_.end())
        problems_.add(field_path(at, static_cast<std::size_t>(i)),
                      fmt::format("\"{}\" is not among spec.endpoints", names[i]),
                      did_you_mean(names[i], endpoint_names_));
  }

  void mode() {
    using Spec = v1::ServiceDefinitionSpec;
    v1::InsertionPoint point = v1::VIRTUAL_SWITCH;
    switch (spec_.mode_case()) {
      case Spec::MODE_NOT_SET:
        add("", "has no mode",
            "exactly one of filter, module, inline, tap, edge, distributed, remote, redirect");
        return;
      case Spec::kFilter:
        break;
      case Spec::kModule:
        module();
        break;
      case Spec::kInline:
        uses(spec_.inline_().endpoints(), "spec.inline.endpoints", true);
        if (spec_.inline_().attachment() == v1::InlineConfig::ATTACHMENT_UNSPECIFIED)
          add("inline.attachment", "is required", "TWO_ARM, ONE_ARM or ROUTED");
        break;
      case Spec::kTap:
        uses(spec_.tap().endpoints(), "spec.tap.endpoints", true);
        if (spec_.tap().sample_one_in() < 0) add("tap.sampleOneIn", "is below 0");
        if (spec_.tap().truncate_bytes() < 0) add("tap.truncateBytes", "is below 0");
        break;
      case Spec::kEdge:
        point = v1::VIRTUAL_NETWORK;
        uses(spec_.edge().endpoints(), "spec.edge.endpoints", true);
        for (int i = 0; i < spec_.edge().virtual_addresses_size(); ++i)
          if (auto a = IpAddress::parse(spec_.edge().virtual_addresses(i));
              !a && !has_placeholder(spec_.edge().virtual_addresses(i)))
            problems_.add(field_path("spec.edge.virtualAddresses", static_cast<std::size_t>(i)),
                          a.error());
        break;
      case Spec::kDistributed:
        point = v1::VIRTUAL_NETWORK;
        if (spec_.distributed().function().empty()) add("distributed.function", "is required");
        break;
      case Spec::kRemote: {
        point = v1::REMOTE;
        uses(spec_.remote().endpoints(), "spec.remote.endpoints", true);
        const std::vector<std::string> known{"geneve-gwlb", "gre", "ipip", "forward"};
        const auto& given = spec_.remote().encapsulation();
        if (std::ranges::find(known, given) == known.end() && !has_placeholder(given))
          add("remote.encapsulation",
              fmt::format("\"{}\" is not one of {}", given, fmt::join(known, ", ")),
              did_you_mean(given, known));
        break;
      }
      case Spec::kRedirect:
        point = v1::REMOTE;
        uses(spec_.redirect().endpoints(), "spec.redirect.endpoints", true);
        break;
    }
    const auto given = spec_.insertion_point();
    if (given != v1::INSERTION_POINT_UNSPECIFIED && given != point)
      add("insertionPoint",
          fmt::format("mode {} belongs to {}", mode_of(spec_), v1::InsertionPoint_Name(point)),
          "leave it out or change it");
    if (const auto* kind = context_.admit.step_kinds->find(mode_of(spec_)))
      kind->validate(spec_, problems_);
  }

  void module() {
    const auto& m = spec_.module();
    const bool hex =
        std::ranges::all_of(m.object_sha256(), [](unsigned char c) { return std::isxdigit(c); });
    if (m.object_sha256().size() != 64 || !hex)
      add("module.objectSha256", "is not a SHA-256", "64 hexadecimal digits");
    if (m.slot().empty()) add("module.slot", "is required");
    if (m.map_memory_bytes() < 0) add("module.mapMemoryBytes", "is below 0");
  }

  void placeholders(const Schema& schema) {
    const auto* reflection = spec_.GetReflection();
    if (const auto* field = reflection->GetOneofFieldDescriptor(
            spec_, spec_.GetDescriptor()->FindOneofByName("mode")))
      check_placeholders(reflection->GetMessage(spec_, field), schema.names(), problems_,
                         field_path("spec", field->json_name()));
    check_placeholders(spec_.guest(), schema.names(), problems_, "spec.guest");
    check_placeholders(spec_.network(), schema.names(), problems_, "spec.network");
  }

  void health() {
    if (!few(spec_.health_checks_size(), "healthChecks")) return;
    const std::vector<std::string> known{"tcp", "http", "icmp", "through"};
    for (int i = 0; i < spec_.health_checks_size(); ++i) {
      const auto& check = spec_.health_checks(i);
      const auto at = field_path("spec.healthChecks", static_cast<std::size_t>(i));
      if (std::ranges::find(known, check.kind()) == known.end())
        problems_.add(field_path(at, "kind"),
                      fmt::format("\"{}\" is not one of {}", check.kind(), fmt::join(known, ", ")));
      const bool needs_port = check.kind() == "tcp" || check.kind() == "http";
      if (check.port() < (needs_port ? 1 : 0) || check.port() > 65535)
        problems_.add(field_path(at, "port"), fmt::format("{} is not a port", check.port()),
                      "1 to 65535");
      for (const auto& [name, value] : {std::pair("intervalMs", check.interval_ms()),
                                        {"timeoutMs", check.timeout_ms()},
                                        {"unhealthyAfter", check.unhealthy_after()},
                                        {"healthyAfter", check.healthy_after()}})
        if (value < 0) problems_.add(field_path(at, name), fmt::format("{} is below 0", value));
      if (check.interval_ms() > 0 && check.timeout_ms() > check.interval_ms())
        problems_.add(field_path(at, "timeoutMs"), "is longer than the interval");
    }
  }

  void deployment() {
    const std::vector<std::string> known{"host", "cluster", "tenant", "demand", "none"};
    const auto& per = spec_.deployment().per();
    if (!per.empty() && std::ranges::find(known, per) == known.end())
      add("deployment.per", fmt::format("\"{}\" is not one of {}", per, fmt::join(known, ", ")),
          did_you_mean(per, known));
    if (spec_.deployment().cpus() < 0) add("deployment.cpus", "is below 0");
    if (spec_.deployment().memory_mib() < 0) add("deployment.memoryMib", "is below 0");
  }
};

}  // namespace

void validate(const v1::ServiceDefinition& definition, const ValidateContext& context,
              Problems& problems) {
  const auto& spec = definition.spec();
  const auto& name = definition.metadata().name();
  const auto* before = context.before<v1::ServiceDefinition>();
  const auto profiles = context.snapshot.profiles_of_definition(name);
  if (spec.draft()) {
    // May be incomplete; nobody may depend on it.
    if (before && !before->spec().draft() && !profiles.empty())
      context.refuse(
          Code::kFailedPrecondition,
          fmt::format("the definition {} cannot become a draft again: profile {} is made from it",
                      name, profiles[0]));
    return;
  }
  DefinitionCheck(spec, context, problems).run();
  if (before && !before->spec().draft() && before->spec().version() == spec.version() &&
      !google::protobuf::util::MessageDifferencer::Equals(before->spec(), spec))
    problems.add("spec.version",
                 fmt::format("version {} was submitted and is final", spec.version()),
                 "give the changed definition a new version");
  if (problems.any()) return;
  for (const auto& profile_name : profiles) {
    const auto profile = context.snapshot.find<v1::ServiceProfile>(profile_name);
    Problems own;
    check_plan(definition, *profile, *context.admit.step_kinds, own);
    for (const auto& key : context.snapshot.enablements_of_profile(profile_name)) {
      const auto enablement = context.snapshot.find<v1::Enablement>(key.tenant, key.name);
      const auto levels = allowed_levels(definition, *profile);
      if (std::ranges::find(levels, enablement->spec().level(), &v1::Level::name) == levels.end())
        own.add("spec.levels",
                fmt::format("level {} is in use by {}", enablement->spec().level(), key.text()));
    }
    for (const auto& p : own.details())
      problems.add("spec",
                   fmt::format("profile {} would no longer be valid: {}: {}", profile_name, p.field,
                               p.message),
                   p.hint);
  }
}

}  // namespace penstock
