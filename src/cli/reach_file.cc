#include "cli/reach_file.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/ref.h"
#include "cli/trace_text.h"
#include "model/yaml_tree.h"
#include "net/address.h"

namespace penstock::cli {
namespace {

struct Field {
  const char* name;
  const char* help;
  bool required;
};
constexpr std::array kFields{
    Field{"from", "the sending VM: [TENANT/]VM[/NIC]", true},
    Field{"to", "ADDRESS or [TENANT/]VM, with :PORT and /PROTOCOL if they are not given below",
          true},
    Field{"protocol", "tcp, udp, icmp, ... or a number; with a port: tcp; without: icmp", false},
    Field{"port", "destination port, 1 to 65535", false},
    Field{"expect", "allow, deny or reject", true},
    Field{"profile", "the profile that decides", false},
    Field{"rule", "the rule that decides: its name, or its number", false},
};
constexpr std::array<std::string_view, 3> kExpect{"allow", "deny", "reject"};

class Reader {
 public:
  Reader(std::string file, std::string tenant)
      : file_(std::move(file)), tenant_(std::move(tenant)) {}

  void problem(const YamlMark& mark, std::string_view message, std::string_view hint = {}) {
    out.problems.push_back(fmt::format("{}:{}:{}  {}{}{}", file_, mark.line, mark.column, message,
                                       hint.empty() ? "" : "; ", hint));
  }

  void item(const YamlNode& node) {
    if (node.form != YamlNode::Form::kMapping)
      return problem(node.mark, "an expectation was expected",
                     "- {from: acme/web-1, to: acme/db-1:5432, expect: allow}");
    const auto before = out.problems.size();
    Expectation one;
    one.file = file_;
    one.line = node.mark.line;
    std::string protocol, port;
    const YamlNode* to_node = nullptr;
    const YamlNode* from_node = nullptr;
    const YamlNode* port_node = nullptr;
    for (const auto& [key, mark, value] : node.entries) {
      const auto known =
          std::ranges::find_if(kFields, [&](const Field& field) { return key == field.name; });
      if (known == kFields.end()) {
        std::vector<std::string> names;
        for (const auto& field : kFields) names.emplace_back(field.name);
        problem(mark, fmt::format("unknown field \"{}\"", key), did_you_mean(key, names));
        continue;
      }
      std::string text;
      if (value->form == YamlNode::Form::kScalar && value->scalar.is_string())
        text = value->scalar.get<std::string>();
      else if (value->form == YamlNode::Form::kScalar && value->scalar.is_number_integer())
        text = std::to_string(value->scalar.get<std::int64_t>());
      if (text.empty()) {
        problem(value->mark, fmt::format("{}: {} was expected", key, known->help));
        continue;
      }
      if (key == "from") one.from = text, from_node = value.get();
      if (key == "to") one.to = text, to_node = value.get();
      if (key == "protocol") protocol = text;
      if (key == "port") port = text, port_node = value.get();
      if (key == "profile") one.profile = text;
      if (key == "rule") one.rule = text;
      if (key == "expect") {
        one.expect = text;
        if (std::ranges::find(kExpect, text) == kExpect.end())
          problem(value->mark, fmt::format("expect: \"{}\" is none of allow, deny, reject", text));
      }
      if (key == "protocol")
        if (const auto good = parse_ip_protocol(text); !good)
          problem(value->mark, good.error().message);
    }
    for (const auto& field : kFields) {
      const bool there = std::ranges::any_of(
          node.entries, [&](const auto& entry) { return entry.key == field.name; });
      if (field.required && !there)
        problem(node.mark, fmt::format("\"{}\" is missing: {}", field.name, field.help));
    }
    if (out.problems.size() != before) return;
    auto whole = one.to;
    if (!port.empty()) {
      const auto good = PortRange::parse(port);
      if (!good || good->low != good->high || good->low == 0)
        return problem(port_node->mark, fmt::format("\"{}\" is not a port", port));
      const bool v6 = std::ranges::count(whole, ':') > 1 && !whole.starts_with('[');
      whole = v6 ? fmt::format("[{}]:{}", whole, port) : fmt::format("{}:{}", whole, port);
    }
    if (!protocol.empty()) whole += "/" + protocol;
    const auto ends = parse_trace_ends({one.from, whole});
    if (!ends) return problem(to_node->mark, ends.error().message);
    const auto ref = parse_name(kind_of<v1::VirtualMachine>(), ends->vm, tenant_);
    if (!ref) return problem(from_node->mark, ref.error().message, ref.error().hint);
    one.tenant = ref->tenant;
    one.vm = ref->name;
    one.to = whole;
    one.request = Json{{"vm", ref->name}, {"packet", ends->packet}};
    if (!ends->nic.empty()) one.request["nic"] = ends->nic;
    out.all.push_back(std::move(one));
  }

  ReachFile out;

 private:
  std::string file_, tenant_;
};

bool arrived(const std::string& disposition) {
  return disposition == "DELIVERED" || disposition == "HANDED_TO_REMOTE" ||
         disposition == "CONSUMED";
}

}  // namespace

std::string Expectation::text() const {
  return fmt::format("{} -> {} {}", from, to, expect);
}

ReachFile read_reach(const std::string& file, std::string_view text,
                     const std::string& default_tenant) {
  Reader reader(file, default_tenant);
  const auto documents = parse_yaml(text);
  for (const auto& problem : documents.problems)
    reader.problem(problem.mark, problem.message, problem.hint);
  if (!reader.out.problems.empty()) return reader.out;
  for (const auto& root : documents.roots) {
    if (root->form != YamlNode::Form::kSequence) {
      reader.problem(root->mark, "a list of expectations was expected",
                     "- {from: acme/web-1, to: acme/db-1:5432, expect: allow}");
      continue;
    }
    for (const auto& item : root->items) reader.item(*item);
  }
  if (reader.out.all.empty() && reader.out.problems.empty())
    reader.problem({}, "there is no expectation in it");
  return reader.out;
}

std::string unmet(const Expectation& one, const Json& trace) {
  const auto disposition = text_at(at(trace, "disposition"));
  const std::string found = arrived(disposition)        ? "allow"
                            : disposition == "DROPPED"  ? "deny"
                            : disposition == "REJECTED" ? "reject"
                                                        : "";
  const auto reason = text_at(at(trace, "reason"));
  if (found.empty())
    return fmt::format("it cannot be told: {}{}{}", disposition, reason.empty() ? "" : ": ",
                       reason);
  if (found != one.expect)
    return fmt::format("{} instead of {}{}{}", found, one.expect, reason.empty() ? "" : ": ",
                       reason);
  // Of a packet that arrives the last step that judged it, else what decided.
  Json by = at(trace, "decidedBy");
  if (!by.is_object())
    for (const auto& step : at(trace, "steps"))
      if (at(step, "by").is_object() &&
          (one.profile.empty() || text_at(at(step, "by", "name")) == one.profile))
        by = at(step, "by");
  const auto profile = text_at(at(by, "name")), rule = text_at(at(by, "rule"));
  const auto number = number_at(at(by, "number"));
  if (!one.profile.empty() && profile != one.profile)
    return fmt::format("decided by {} instead of profile {}", profile.empty() ? "nobody" : profile,
                       one.profile);
  if (!one.rule.empty() && rule != one.rule && std::to_string(number) != one.rule)
    return fmt::format("decided by rule {} \"{}\" instead of {}", number, rule, one.rule);
  return {};
}

Json reach_schema() {
  Json properties = Json::object(), required = Json::array();
  for (const auto& field : kFields) {
    Json property{{"type", "string"}, {"description", field.help}};
    const std::string name = field.name;
    if (name == "expect") property["enum"] = Json::array({"allow", "deny", "reject"});
    if (name == "port")
      property = Json{
          {"type", "integer"}, {"minimum", 1}, {"maximum", 65535}, {"description", field.help}};
    if (name == "rule" || name == "protocol") property["type"] = Json::array({"string", "integer"});
    properties[name] = std::move(property);
    if (field.required) required.push_back(name);
  }
  return Json{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
              {"title", "Reach"},
              {"type", "array"},
              {"minItems", 1},
              {"items", Json{{"type", "object"},
                             {"properties", std::move(properties)},
                             {"required", std::move(required)},
                             {"additionalProperties", false}}}};
}

}  // namespace penstock::cli
