#include "server/flow_record.h"

#include <algorithm>

#include <fmt/format.h>

#include "net/address.h"

namespace penstock {
namespace {

// RFC 9293 section 3.1.
std::string flags_text(std::uint32_t flags) {
  constexpr std::string_view kNames[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  std::string text;
  for (int bit = 0; bit < 8; ++bit)
    if (flags >> bit & 1) text += fmt::format("{}{}", text.empty() ? "" : ",", kNames[bit]);
  return text;
}

std::optional<IpAddress> address_of(const std::string& bytes) {
  IpAddress address{};
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  address.family = bytes.size() == 4 ? Family::kV4 : Family::kV6;
  std::ranges::copy(bytes, reinterpret_cast<char*>(address.bytes.data()));
  return address;
}

}  // namespace

std::unique_ptr<v1::FlowRecord> flow_record(const Snapshot& snapshot, const std::string& host,
                                            const v1::LoggedFlow& logged) {
  const auto nic = snapshot.nic_of_port(logged.port_id());
  const auto vm = nic ? snapshot.find<v1::VirtualMachine>(nic->tenant, nic->vm) : nullptr;
  if (!vm) return nullptr;
  std::string network;
  for (const auto& one : vm->spec().nics())
    if (one.name() == nic->nic) network = one.network();
  const auto end = [&](v1::FlowRecord::End& out, const std::string& bytes, std::uint32_t port) {
    const auto address = address_of(bytes);
    if (!address) return;
    out.set_address(address->text());
    out.set_port(port);
    if (const auto user = snapshot.address_user(nic->tenant, network, *address))
      if (const auto owner = snapshot.nic_of_port(user)) out.set_vm(owner->vm);
  };
  auto record = std::make_unique<v1::FlowRecord>();
  record->mutable_time()->set_seconds(logged.time_ns() / 1'000'000'000);
  record->mutable_time()->set_nanos(static_cast<int>(logged.time_ns() % 1'000'000'000));
  record->set_vm(nic->vm);
  record->set_nic(nic->nic);
  record->set_host(host);
  record->set_direction(logged.out() ? v1::FlowRecord::OUT : v1::FlowRecord::IN);
  record->set_outcome(static_cast<v1::FlowRecord::Outcome>(logged.outcome() + 1));
  record->set_profile(logged.profile());
  record->set_level(logged.level());
  record->set_enablement(logged.enablement());
  record->set_rule_number(logged.rule_number());
  record->set_rule(logged.rule_number() == 0 ? "default" : logged.rule());
  end(*record->mutable_source(), logged.source(), logged.source_port());
  end(*record->mutable_destination(), logged.destination(), logged.destination_port());
  record->set_protocol(ip_protocol_text(static_cast<std::uint8_t>(logged.protocol())));
  if (logged.protocol() == 6) record->set_tcp_flags(flags_text(logged.tcp_flags()));
  record->set_icmp_type(static_cast<int>(logged.icmp_type()));
  record->set_icmp_code(static_cast<int>(logged.icmp_code()));
  record->set_length(static_cast<int>(logged.length()));
  auto& metadata = *record->mutable_metadata();
  metadata.set_tenant(nic->tenant);
  auto& labels = *metadata.mutable_labels();
  labels["vm"] = nic->vm;
  labels["nic"] = nic->nic;
  labels["profile"] = record->profile();
  labels["rule"] = record->rule();
  labels["direction"] = v1::FlowRecord::Direction_Name(record->direction());
  labels["outcome"] = v1::FlowRecord::Outcome_Name(record->outcome());
  return record;
}

}  // namespace penstock
