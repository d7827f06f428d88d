#include "sim/operations.h"

#include <fmt/format.h>

#include "sim/history.h"

namespace penstock::sim {
namespace {

using Sender = decltype(Operation::send);

template <typename T>
const T& pick(SimRandom& random, const std::vector<T>& from) {
  return from[random.below(from.size())];
}

std::string numbered(SimRandom& random, const char* prefix, std::uint64_t count) {
  return fmt::format("{}{}", prefix, random.below(count));
}

template <typename T>
std::shared_ptr<T> blank(const std::string& tenant, const std::string& name) {
  auto object = std::make_shared<T>();
  object->mutable_metadata()->set_tenant(tenant);
  object->mutable_metadata()->set_name(name);
  return object;
}

// A writable copy of what is there, or a blank one.
template <typename T>
std::shared_ptr<T> edit(const Snapshot& snapshot, const std::string& tenant,
                        const std::string& name) {
  const auto found = snapshot.find<T>(tenant, name);
  if (!found) return blank<T>(tenant, name);
  auto copy = std::make_shared<T>(*found);
  copy->clear_status();
  return copy;
}

Sender put(MessagePtr object) {
  return [object](Api& api, const std::string& secret, const v1::WriteOptions& options,
                  std::function<void(Result<Answer>)> done) {
    v1::PutRequest request;
    *request.mutable_object() = wrap(*object);
    *request.mutable_options() = options;
    api.put(secret, std::move(request), [object, done](Result<v1::PutResponse> response) {
      if (!response) return done(std::unexpected(response.error()));
      const auto* answered = unwrap(response->object());
      std::shared_ptr<Message> copy;
      if (answered) {
        copy.reset(answered->New());
        copy->CopyFrom(*answered);
      }
      done(Answer{response->outcome(), key_of(*object), copy});
    });
  };
}

Sender erase(const ObjectKey& key, bool cascade) {
  return [key, cascade](Api& api, const std::string& secret, const v1::WriteOptions& options,
                        std::function<void(Result<Answer>)> done) {
    v1::DeleteRequest request;
    request.set_kind(key.kind->name);
    request.set_tenant(key.tenant);
    request.set_name(key.name);
    request.set_cascade(cascade);
    *request.mutable_options() = options;
    api.erase(secret, std::move(request), [key, done](Result<v1::DeleteResponse> response) {
      if (!response) return done(std::unexpected(response.error()));
      done(Answer{response->outcome(), key, nullptr});
    });
  };
}

// --- parts of objects

void random_peer(SimRandom& random, v1::Peer& peer) {
  switch (random.below(4)) {
    case 0:
      peer.set_cidr(fmt::format("10.{}.0.0/16", random.below(4)));
      break;
    case 1:
      (*peer.mutable_vms()->mutable_match_labels())["role"] = random.below(2) ? "web" : "db";
      break;
    case 2:
      peer.set_network(random.below(2) ? "blue" : "green");
      break;
    default:
      peer.set_cidr(fmt::format("10.1.0.{}", random.below(20)));
  }
}

void random_rules(SimRandom& random, v1::FilterConfig& filter, bool parameter) {
  filter.set_default_in(random.below(2) ? v1::ALLOW : v1::DENY);
  const auto count = 1 + random.below(4);
  for (std::uint64_t i = 0; i < count; ++i) {
    auto& rule = *filter.add_rules();
    rule.set_direction(static_cast<v1::FilterRule::Direction>(1 + random.below(3)));
    rule.set_action(static_cast<v1::FilterAction>(1 + random.below(3)));
    if (random.below(2)) {
      rule.add_protocols("tcp");
      rule.add_ports(parameter && i == 0 ? "${port}" : std::to_string(1 + random.below(9000)));
    }
    if (random.below(3) == 0) random_peer(random, *rule.add_from());
    if (random.below(3) == 0) random_peer(random, *rule.add_to());
  }
}

std::shared_ptr<v1::ServiceDefinition> random_definition(SimRandom& random, const std::string& name,
                                                         int version) {
  auto definition = blank<v1::ServiceDefinition>("", name);
  auto& spec = *definition->mutable_spec();
  spec.set_vendor("vendor");
  spec.set_service_name(name);
  spec.set_version(std::to_string(version));
  spec.add_levels()->set_name("basic");
  spec.add_levels()->set_name("strict");
  spec.set_insertion_point(v1::VIRTUAL_SWITCH);
  auto& port = *(*(*spec.mutable_parameters()->mutable_fields())["properties"]
                      .mutable_struct_value()
                      ->mutable_fields())["port"]
                    .mutable_struct_value();
  (*port.mutable_fields())["type"].set_string_value("integer");
  (*port.mutable_fields())["default"].set_number_value(22);
  (*spec.mutable_parameters()->mutable_fields())["type"].set_string_value("object");
  random_rules(random, *spec.mutable_filter(), true);
  return definition;
}

void random_availability(SimRandom& random, v1::Availability& availability) {
  availability.Clear();
  switch (random.below(4)) {
    case 0:
      availability.mutable_allow()->add_tenants(pick(random, kTenants));
      break;
    case 1:
      availability.set_everyone(true);
      availability.mutable_except()->add_vms("acme/vm1");
      break;
    default:
      availability.set_everyone(true);
  }
}

std::shared_ptr<v1::VirtualMachine> random_vm(SimRandom& random, const std::string& tenant,
                                              const std::string& name,
                                              const std::vector<std::string>& hosts) {
  auto vm = blank<v1::VirtualMachine>(tenant, name);
  const auto nics = 1 + random.below(2);
  for (std::uint64_t i = 0; i < nics; ++i) {
    auto& nic = *vm->mutable_spec()->add_nics();
    nic.set_name(fmt::format("eth{}", i));
    nic.set_network(random.below(3) ? "blue" : "green");
    if (random.below(4) == 0) nic.set_address_mode(v1::Nic::DHCP);
  }
  if (random.below(3)) vm->mutable_spec()->mutable_placement()->set_host(pick(random, hosts));
  (*vm->mutable_metadata()->mutable_labels())["role"] = random.below(2) ? "web" : "db";
  vm->mutable_spec()->set_owner("user:" + std::string(random.below(2) ? "vo-" : "ta-") + tenant);
  return vm;
}

template <typename Request>
std::string random_target(SimRandom& random, Request& request, const std::string& tenant) {
  request.set_tenant(tenant);
  request.set_profile(numbered(random, "fw", 3));
  const auto vm = numbered(random, "vm", 6);
  switch (random.below(6)) {
    case 0:
      request.set_pool("pool");
      return "pool";
    case 1:
      request.set_network("blue");
      return "network blue";
    case 2:
      request.mutable_nic()->set_vm(vm);
      request.mutable_nic()->set_nic("eth0");
      return vm + "/eth0";
    default:
      request.set_vm(vm);
      return vm;
  }
}

struct Maker {
  SimRandom& random;
  const Snapshot& snapshot;
  const std::vector<std::string>& hosts;
  Operation operation;
  std::string tenant;
  bool moves = false;

  void write(std::shared_ptr<Message> object, std::string_view what) {
    auto& metadata = mutable_metadata_of(*object);
    (*metadata.mutable_annotations())[kOperation] = std::to_string(operation.number);
    // Now and then with the version it was read at: then it may be refused, never merged.
    if (random.below(4) == 0) {
      const auto revision = snapshot.mod_revision(key_of(*object));
      if (revision > 0) metadata.set_resource_version(std::to_string(revision));
    } else {
      metadata.clear_resource_version();
    }
    operation.what = fmt::format("{} {}", what, key_of(*object).describe());
    operation.send = put(std::move(object));
  }
  void remove(const ObjectKey& key) {
    const bool cascade = random.below(2);
    operation.what = fmt::format("delete {}{}", key.describe(), cascade ? " and all" : "");
    operation.send = erase(key, cascade);
  }

  void enable() {
    v1::EnableRequest request;
    const auto target = random_target(random, request, tenant);
    if (random.below(2)) request.set_level(random.below(2) ? "basic" : "strict");
    if (random.below(6) == 0) request.set_mandatory(random.below(3) > 0);
    if (random.below(3) == 0) request.set_observe(random.below(2));
    operation.what = fmt::format("enable {} on {}/{}{}", request.profile(), tenant, target,
                                 request.observe() ? ", observing" : "");
    operation.send = [request](Api& api, const std::string& secret, const v1::WriteOptions& options,
                               std::function<void(Result<Answer>)> done) {
      auto copy = request;
      *copy.mutable_options() = options;
      api.enable(secret, std::move(copy), [done](Result<v1::EnableResponse> response) {
        if (!response) return done(std::unexpected(response.error()));
        auto object = std::make_shared<v1::Enablement>(response->enablement());
        done(Answer{response->outcome(), key_of(*object), object});
      });
    };
  }
  // An answer to what was asked for, or another one to what was answered.
  void decide() {
    std::vector<std::string> names;
    snapshot.each<v1::Enablement>(tenant, [&](const v1::Enablement& enablement) {
      if (enablement.spec().has_approval()) names.push_back(enablement.metadata().name());
    });
    if (names.empty()) return enable();
    v1::DecideRequest request;
    request.set_tenant(tenant);
    request.set_name(pick(random, names));
    request.set_grant(random.below(3) > 0);
    if (random.below(2)) request.set_reason("because");
    operation.what =
        fmt::format("{} {}/{}", request.grant() ? "grant" : "refuse", tenant, request.name());
    operation.send = [request](Api& api, const std::string& secret, const v1::WriteOptions& options,
                               std::function<void(Result<Answer>)> done) {
      auto copy = request;
      *copy.mutable_options() = options;
      api.decide(secret, std::move(copy), [done](Result<v1::PutResponse> response) {
        if (!response) return done(std::unexpected(response.error()));
        auto object = std::make_shared<v1::Enablement>(response->object().enablement());
        done(Answer{response->outcome(), key_of(*object), object});
      });
    };
  }
  void disable() {
    v1::DisableRequest request;
    std::string target;
    // Mostly something that is on.
    std::vector<std::shared_ptr<const v1::Enablement>> on;
    snapshot.each<v1::Enablement>(tenant, [&](const v1::Enablement& enablement) {
      on.push_back(std::make_shared<v1::Enablement>(enablement));
    });
    if (on.empty() || random.below(8) == 0) {
      target = random_target(random, request, tenant);
    } else {
      const auto& spec = pick(random, on)->spec();
      request.set_tenant(tenant);
      request.set_profile(spec.profile());
      if (spec.has_pool()) request.set_pool(spec.pool());
      if (spec.has_network()) request.set_network(spec.network());
      if (spec.has_nic()) *request.mutable_nic() = spec.nic();
      if (spec.has_vm()) request.set_vm(spec.vm());
      target = "what is on";
    }
    operation.what = fmt::format("disable {} on {}/{}", request.profile(), tenant, target);
    operation.send = [request](Api& api, const std::string& secret, const v1::WriteOptions& options,
                               std::function<void(Result<Answer>)> done) {
      auto copy = request;
      *copy.mutable_options() = options;
      api.disable(secret, std::move(copy), [done](Result<v1::DisableResponse> response) {
        if (!response) return done(std::unexpected(response.error()));
        done(Answer{response->outcome(), {}, nullptr});
      });
    };
  }
  void change_vm() {
    const auto name = numbered(random, "vm", 6);
    if (!snapshot.find<v1::VirtualMachine>(tenant, name) || random.below(8) == 0)
      return write(random_vm(random, tenant, name, hosts), "put");
    auto vm = edit<v1::VirtualMachine>(snapshot, tenant, name);
    switch (random.below(4)) {
      case 0:
        vm->mutable_spec()->set_power(random.below(2) ? v1::VirtualMachineSpec::STOPPED
                                                      : v1::VirtualMachineSpec::RUNNING);
        return write(vm, "power of");
      case 1:
        vm->mutable_spec()->mutable_placement()->set_host(pick(random, hosts));
        return write(vm, "replace");
      case 2:
        return move(name);
      default:
        (*vm->mutable_metadata()->mutable_labels())["role"] = random.below(2) ? "web" : "db";
        return write(vm, "label");
    }
  }
  void move(const std::string& name) {
    v1::MoveRequest request;
    request.set_tenant(tenant);
    request.set_name(name);
    if (random.below(4)) request.set_host(pick(random, hosts));
    moves = true;
    operation.what = fmt::format("move {}/{} to {}", tenant, name,
                                 request.host().empty() ? "any host" : request.host());
    operation.send = [request](Api& api, const std::string& secret, const v1::WriteOptions& options,
                               std::function<void(Result<Answer>)> done) {
      auto copy = request;
      *copy.mutable_options() = options;
      api.move(secret, std::move(copy), [done](Result<v1::MoveResponse> response) {
        if (!response) return done(std::unexpected(response.error()));
        done(Answer{response->outcome(), {}, nullptr});
      });
    };
  }
  void change_network() {
    const auto* name = random.below(4) ? "green" : "blue";
    if (snapshot.find<v1::VirtualNetwork>(tenant, name) && random.below(2))
      return remove(ObjectKey::of<v1::VirtualNetwork>(tenant, name));
    auto network = blank<v1::VirtualNetwork>(tenant, name);
    auto& subnet = *network->mutable_spec()->add_subnets();
    const auto number = std::string_view(name) == "blue" ? 1 : 2;
    subnet.set_cidr(fmt::format("10.{}.0.0/16", number));
    if (random.below(2)) subnet.set_gateway(fmt::format("10.{}.0.1", number));
    write(network, "put");
  }
  void change_profile() {
    const auto name = numbered(random, "fw", 3);
    if (random.below(12) == 0) return remove(ObjectKey::of<v1::ServiceProfile>("", name));
    auto profile = edit<v1::ServiceProfile>(snapshot, "", name);
    auto& spec = *profile->mutable_spec();
    if (spec.definition().empty()) {
      spec.set_definition(numbered(random, "def", 2));
      random_availability(random, *spec.mutable_availability());
      spec.set_published(true);
      return write(profile, "put");
    }
    switch (random.below(5)) {
      case 4:
        if (spec.has_approval())
          spec.clear_approval();
        else
          spec.mutable_approval()->add_groups("approvers");
        return write(profile, "approval of");
      case 0:
        spec.set_published(!spec.published());
        return write(profile, spec.published() ? "publish" : "unpublish");
      case 1:
        random_availability(random, *spec.mutable_availability());
        return write(profile, "availability of");
      case 2:
        spec.set_order(static_cast<std::int32_t>(random.below(3)));
        return write(profile, "order of");
      default:
        (*spec.mutable_parameters()->mutable_fields())["port"].set_number_value(
            static_cast<double>(1 + random.below(9000)));
        return write(profile, "parameters of");
    }
  }
  void change_pool() {
    if (random.below(4) == 0) return remove(ObjectKey::of<v1::VmPool>(tenant, "pool"));
    auto pool = blank<v1::VmPool>(tenant, "pool");
    if (random.below(2))
      (*pool->mutable_spec()->mutable_selector()->mutable_match_labels())["role"] =
          random.below(2) ? "web" : "db";
    else
      pool->mutable_spec()->add_vms(numbered(random, "vm", 6));
    write(pool, "put");
  }
  void cordon() {
    auto host = edit<v1::Host>(snapshot, "", pick(random, hosts));
    host->mutable_spec()->set_cordoned(!host->spec().cordoned());
    write(host, "cordon");
  }
  void label_many() {
    v1::BatchRequest request;
    request.set_atomic(random.below(2));
    snapshot.each<v1::VirtualMachine>(tenant, [&](const v1::VirtualMachine& vm) {
      auto& copy = *request.add_items()->mutable_put()->mutable_virtual_machine();
      copy = vm;
      copy.clear_status();
      copy.mutable_metadata()->clear_resource_version();
      (*copy.mutable_metadata()->mutable_labels())["role"] = random.below(2) ? "web" : "db";
      // Only what is one transaction is remembered by the store, and so done once across a restart;
      // other batches say what shall be and may be done again (server/engine.h).
      auto& annotations = *copy.mutable_metadata()->mutable_annotations();
      if (request.atomic())
        annotations[kOperation] = std::to_string(operation.number);
      else
        annotations.erase(kOperation);
    });
    if (request.items().empty()) return change_vm();
    operation.what = fmt::format("label {} VMs of {}", request.items_size(), tenant);
    operation.send = [request](Api& api, const std::string& secret, const v1::WriteOptions& options,
                               std::function<void(Result<Answer>)> done) {
      auto copy = request;
      *copy.mutable_options() = options;
      api.batch(secret, std::move(copy), [done](Result<v1::BatchResponse> response) {
        if (!response) return done(std::unexpected(response.error()));
        bool any = response->items().empty();
        for (const auto& item : response->items()) {
          if (item.error().code() == "internal")
            return done(fail(Code::kInternal, item.error().message()));
          any = any || !item.has_error();
        }
        if (!any) return done(fail(Code::kFailedPrecondition, "all items failed"));
        done(Answer{response->outcome(), {}, nullptr});
      });
    };
  }
};

}  // namespace

Operation random_operation(SimRandom& random, const Snapshot& snapshot,
                           const std::vector<std::string>& hosts, int number) {
  Maker maker{random, snapshot, hosts, {}, pick(random, kTenants), false};
  auto& operation = maker.operation;
  operation.number = number;
  operation.options.set_request_id(fmt::format("op-{}", number));
  if (random.below(4) == 0) {
    operation.options.set_wait_applied(true);
    operation.options.mutable_deadline()->set_seconds(static_cast<std::int64_t>(random.below(5)));
  }
  const auto dice = random.below(100);
  bool tenants_own = true, decides = false;
  if (dice < 19) {
    maker.enable();
  } else if (dice < 24) {
    decides = true;
    maker.decide();
  } else if (dice < 36) {
    maker.disable();
  } else if (dice < 62) {
    maker.change_vm();
  } else if (dice < 66) {
    maker.remove(ObjectKey::of<v1::VirtualMachine>(maker.tenant, numbered(random, "vm", 6)));
  } else if (dice < 70) {
    maker.change_network();
  } else if (dice < 75) {
    maker.change_pool();
  } else if (dice < 80) {
    maker.label_many();
  } else {
    tenants_own = false;
    if (dice < 92)
      maker.change_profile();
    else if (dice < 97)
      maker.write(random_definition(random, numbered(random, "def", 2), number), "put");
    else
      maker.cordon();
  }
  if (decides && operation.what.starts_with("enable")) decides = false;
  if (decides) {
    operation.user = random.below(3) ? "ap" : "admin";
    // Owners and their administrators only ask.
    if (random.below(4) == 0) {
      operation.user = "ta-" + maker.tenant;
      operation.forbidden = true;
    }
  } else if (!tenants_own || maker.moves) {
    operation.user = "admin";
    if (random.below(10) == 0) {
      operation.user = "ta-acme";
      operation.forbidden = true;
    }
  } else {
    operation.user = random.below(3) ? "ta-" + maker.tenant : "admin";
    if (random.below(12) == 0) {
      operation.user = "ta-" + (maker.tenant == "acme" ? kTenants[1] : kTenants[0]);
      operation.forbidden = true;
    }
  }
  return std::move(operation);
}

std::vector<v1::Object> furniture(const std::vector<std::pair<std::string, std::string>>& hosts) {
  std::vector<v1::Object> out;
  SimRandom random(7);
  for (const auto& tenant : kTenants) out.push_back(wrap(*blank<v1::Tenant>("", tenant)));
  for (const auto& tenant : kTenants)
    for (const auto* role : {"ta-", "vo-"}) {
      auto user = blank<v1::User>("", role + tenant);
      auto& binding = *user->mutable_spec()->add_roles();
      binding.set_role(std::string_view(role) == "ta-" ? v1::TENANT_ADMINISTRATOR : v1::VM_OWNER);
      binding.set_tenant(tenant);
      out.push_back(wrap(*user));
      auto token = blank<v1::Token>("", "token-" + user->metadata().name());
      token->mutable_spec()->set_user(user->metadata().name());
      out.push_back(wrap(*token));
    }
  out.push_back(wrap(*blank<v1::Group>("", "approvers")));
  auto approver = blank<v1::User>("", "ap");
  approver->mutable_spec()->add_groups("approvers");
  out.push_back(wrap(*approver));
  auto approvers_token = blank<v1::Token>("", "token-ap");
  approvers_token->mutable_spec()->set_user("ap");
  out.push_back(wrap(*approvers_token));
  for (const auto& [name, address] : hosts) {
    auto host = blank<v1::Host>("", name);
    auto& uplink = *host->mutable_spec()->add_uplinks();
    uplink.set_name("uplink0");
    uplink.set_device("up0");
    uplink.set_address(address);
    uplink.set_mtu(1500);
    out.push_back(wrap(*host));
    auto token = blank<v1::Token>("", "token-" + name);
    token->mutable_spec()->set_host(name);
    out.push_back(wrap(*token));
  }
  for (const auto& tenant : kTenants)
    for (const auto number : {1, 2}) {
      auto network = blank<v1::VirtualNetwork>(tenant, number == 1 ? "blue" : "green");
      auto& subnet = *network->mutable_spec()->add_subnets();
      subnet.set_cidr(fmt::format("10.{}.0.0/16", number));
      subnet.set_gateway(fmt::format("10.{}.0.1", number));
      out.push_back(wrap(*network));
    }
  for (const auto* name : {"def0", "def1"})
    out.push_back(wrap(*random_definition(random, name, 1)));
  for (int i = 0; i < 2; ++i) {
    auto profile = blank<v1::ServiceProfile>("", fmt::format("fw{}", i));
    profile->mutable_spec()->set_definition(fmt::format("def{}", i));
    profile->mutable_spec()->set_published(true);
    profile->mutable_spec()->mutable_availability()->set_everyone(true);
    out.push_back(wrap(*profile));
  }
  std::vector<std::string> names;
  for (const auto& [name, address] : hosts) names.push_back(name);
  for (const auto& tenant : kTenants)
    for (int i = 0; i < 3; ++i)
      out.push_back(wrap(*random_vm(random, tenant, fmt::format("vm{}", i), names)));
  return out;
}

}  // namespace penstock::sim
