#include <algorithm>

#include <fmt/format.h>

#include "model/validate/validate.h"

namespace penstock {

void missing(const Snapshot& snapshot, const Kind& kind, std::string_view tenant,
             std::string_view name, Problems& problems, const std::string& field) {
  std::vector<std::string> names;
  snapshot.each(kind, tenant, [&](const ObjectKey& key, const MessagePtr&, std::int64_t) {
    names.push_back(key.name);
    return names.size() < 1000;  // a hint is not worth more
  });
  problems.add(
      field,
      kind.tenant_scoped
          ? fmt::format("there is no {} \"{}\" in tenant {}", kind.name, name.substr(0, 80), tenant)
          : fmt::format("there is no {} \"{}\"", kind.name, name.substr(0, 80)),
      did_you_mean(name, names));
}

void check_unique(std::set<std::string>& seen, const std::string& name, Problems& problems,
                  const std::string& field) {
  if (!seen.insert(name).second)
    problems.add(field, fmt::format("\"{}\" is there twice", name.substr(0, 80)));
}

void check_owner(const std::string& owner, const std::string& before, const Snapshot& snapshot,
                 Problems& problems) {
  if (owner.empty() || owner == before) return;
  if (owner.starts_with("user:"))
    check_exists<v1::User>(snapshot, "", owner.substr(5), problems, "spec.owner");
  else if (owner.starts_with("group:"))
    check_exists<v1::Group>(snapshot, "", owner.substr(6), problems, "spec.owner");
  else
    problems.add("spec.owner", fmt::format("\"{}\" is not an owner", owner.substr(0, 80)),
                 "\"user:NAME\" or \"group:NAME\"");
}

void check_limits(const v1::Limits& limits, Problems& problems, const std::string& field) {
  const auto check = [&](const char* name, std::int64_t value) {
    if (value < 0)
      problems.add(field_path(field, name), fmt::format("{} is below 0", value),
                   "0 means no limit");
  };
  check("users", limits.users());
  check("rateBitsPerSecond", limits.rate_bits_per_second());
  check("connections", limits.connections());
  check("connectionsPerSecond", limits.connections_per_second());
  check("instances", limits.instances());
}

std::vector<IpAddress> reserved_addresses(const IpPrefix& prefix, const v1::Subnet& subnet) {
  std::set<IpAddress> out;
  if (prefix.address.family == Family::kV4 && prefix.length < 31) {
    out.insert(prefix.address);
    out.insert(prefix.last());
  }
  // RFC 4291 section 2.6.1; not on point-to-point /127 (RFC 6164).
  if (prefix.address.family == Family::kV6 && prefix.length < 127) out.insert(prefix.address);
  if (auto gateway = IpAddress::parse(subnet.gateway())) out.insert(*gateway);
  return {out.begin(), out.end()};
}

}  // namespace penstock
