#include "cli/codes.h"

#include <algorithm>

#include <fmt/format.h>

#include "abi/reasons.h"
#include "base/error.h"
#include "cli/exit.h"

namespace penstock::cli {
namespace {

struct Remedy {
  std::string_view name, text;
};

// What to do, by drop reason. A test asks for one of each.
constexpr Remedy kDropRemedies[] = {
    {"none", ""},
    {"no_port",
     "Passing while a VM starts or goes. If it stays, `penstock explain vm NAME` says what the "
     "host "
     "waits for."},
    {"malformed",
     "Look at the frame with `penstock lab capture` or tcpdump in the guest; drivers "
     "with broken offloads make such frames."},
    {"vlan", "Remove the VLAN device in the guest, or give the VM a NIC in each network."},
    {"ethertype",
     "Nothing, unless an application needs a protocol of its own; it cannot be carried."},
    {"spoofed_mac",
     "Use the NIC's own MAC in the guest (bonds, bridges and nested VMs change it)."},
    {"spoofed_address",
     "Add the address to the NIC (`spec.nics[].addresses`), or fix the guest's "
     "configuration."},
    {"spoofed_arp", "As for spoofed_address; proxy ARP and virtual addresses in guests do this."},
    {"spoofed_nd",
     "As for spoofed_address; turn off temporary addresses that the NIC does not have."},
    {"rogue_ra",
     "Stop the router daemon in the guest. Gateways belong into the network's subnets."},
    {"rogue_dhcp", "Stop the DHCP server in the guest. The switch answers DHCP itself."},
    {"arp_unknown", "Is the address right, and does the other VM run? `penstock get vms`."},
    {"nd_unknown", "Is the address right, and does the other VM run? `penstock get vms`."},
    {"own_address", ""},
    {"group_membership", ""},
    {"unknown_mac",
     "Clear the neighbour entry in the guest; the VM it had is gone or has a new MAC."},
    {"no_router", "The gateway address answers ARP only. Use addresses of the network."},
    {"to_self", "A loop in the guest, or a bridge that sends frames back."},
    {"policy_deny", "`penstock trace` names the rule, the profile and who may change it."},
    {"policy_reject", "`penstock trace` names the rule, the profile and who may change it."},
    {"flow_denied",
     "The connection was open when a service changed. If it should be allowed, add a "
     "rule; the client connects anew."},
    {"not_inspected", "A defect or a bypass: keep `penstock diag bundle` and report it."},
    {"bad_policy",
     "The agent writes the policy anew. If it comes back, keep `penstock diag bundle` "
     "and report it."},
    {"fragment_early", "Fragments overtook each other; lower the sender's packet size."},
    {"fragment_overlap", "Nothing that is well does this: an attack, or a broken sender."},
    {"flood_empty", ""},
    {"punt_full", "Clients ask again. If it grows: is penstock-hostd running and has it time?"},
    {"punted", ""},
    {"no_tunnel",
     "Are the underlay's routes and the vxlan device up? `penstock check underlay-mtu`."},
    {"port_gone", "Passing: the VM is being stopped or moved."},
    {"too_big",
     "Nothing; path MTU discovery takes it up. If senders ignore the ICMP error, lower "
     "their MTU."},
    {"delivery", "Look at the port's device (`penstock explain vm NAME`) and the kernel's log."},
    {"answered", ""},
    {"flooded", ""},
    {"forged_tunnel",
     "If it lasts longer than a move of a VM takes, find who sends to the tunnel "
     "port of this host."},
    {"rate_limit",
     "`penstock counters vm/NAME` shows how often; choose a higher level (`penstock enable PROFILE "
     "--level "
     "LEVEL --on vm/NAME`), or send less."},
    {"connection_limit",
     "Close connections that are not needed, or choose a higher level; idle ones go by their "
     "timeouts."},
    {"connection_rate", "Open connections more slowly, reuse them, or choose a higher level."},
};

struct ErrorWords {
  Code code;
  std::string_view cause, remedy;
};
constexpr ErrorWords kErrors[] = {
    {Code::kInvalidArgument, "The request itself is wrong.",
     "Mend the fields that are named; the same request will never do."},
    {Code::kNotFound, "There is no such object, or none that you may see.",
     "`penstock get KIND -A` lists what you may see."},
    {Code::kAlreadyExists, "The object to be created is there, with other content.",
     "Change it instead, or choose another name."},
    {Code::kPermissionDenied, "You are known, but may not do this.",
     "`penstock auth whoami` shows your roles; ask who may, or for the role."},
    {Code::kUnauthenticated, "No token, or one that is unknown or has expired.",
     "`penstock login`."},
    {Code::kConflict, "The object was changed since you read it.",
     "Read it again, then repeat the change."},
    {Code::kFailedPrecondition, "The state of the system forbids it: in use, not published, ...",
     "The message says what is in the way; remove that first."},
    {Code::kResourceExhausted, "A quota, a limit, a map or a disk is full.",
     "Free something, or ask for more; then again."},
    {Code::kDeadlineExceeded, "The wait ended before the goal. What was accepted stays accepted.",
     "`penstock explain` says what is waited for."},
    {Code::kUnavailable, "The server, its store, its audit log or a host is away.",
     "Try again; `penstock check` says more."},
    {Code::kUnimplemented, "This version, or this kernel, cannot do it.",
     "See the host's kernel (`penstock get hosts -o wide`) and the release notes."},
    {Code::kInternal, "A defect, or an error of the operating system with no better name.",
     "Keep `penstock diag bundle` and report it."},
};

std::string_view remedy_of_drop(std::string_view name) {
  const auto found = std::ranges::find(kDropRemedies, name, &Remedy::name);
  return found == std::end(kDropRemedies) ? "" : found->text;
}

// The first letter large, a point at the end.
std::string sentence(std::string text) {
  if (text.empty()) return text;
  text[0] = static_cast<char>(std::toupper(text[0]));
  if (text.back() != '.') text += '.';
  return text;
}

std::vector<CodeEntry> make() {
  std::vector<CodeEntry> codes;
#define PS_CODE_ROW(NAME, name, help) \
  codes.push_back({"drop reason", #name, sentence(help), std::string(remedy_of_drop(#name)), ""});
  PS_DROP_REASONS(PS_CODE_ROW)
#undef PS_CODE_ROW
#define PS_CODE_ROW(NAME, name, help) codes.push_back({"counter", #name, sentence(help), "", ""});
  PS_COUNTERS(PS_CODE_ROW)
#undef PS_CODE_ROW
  for (const auto& words : kErrors)
    codes.push_back(
        {"error", std::string(name(words.code)), std::string(words.cause),
         std::string(words.remedy),
         fmt::format("HTTP {}, gRPC {}, exit {}{}", http_status(words.code),
                     grpc_status(words.code), exit_code(words.code),
                     retryable(words.code) ? "; the same call may succeed later" : "")});
  for (const auto& row : exit_table())
    codes.push_back({"exit code", std::to_string(static_cast<int>(row.exit)),
                     sentence(std::string(row.meaning)), "", ""});
  return codes;
}

}  // namespace

const std::vector<CodeEntry>& all_codes() {
  static const auto codes = make();
  return codes;
}

std::vector<CodeEntry> codes_named(std::string_view name) {
  std::vector<CodeEntry> found;
  std::ranges::copy_if(all_codes(), std::back_inserter(found),
                       [&](const auto& code) { return code.name == name; });
  return found;
}

std::string codes_markdown() {
  std::string out =
      "# Codes\n\n"
      "Every code that a person may meet, with cause and remedy: in traces, flows, metrics, "
      "events, "
      "errors. `penstock explain code\nNAME` prints one of them. Written by `penstock explain code "
      "--markdown` from the lists the programs are made of; a test\nkeeps it up to date.\n";
  std::string group;
  for (const auto& code : all_codes()) {
    if (code.group != group) {
      group = code.group;
      out += fmt::format("\n## {}\n\n", group == "drop reason" ? "Drop reasons"
                                        : group == "counter"   ? "Counters of the switch"
                                        : group == "error"     ? "Errors"
                                                               : "Exit codes of the command line");
    }
    out += fmt::format("- **`{}`** {}{}{}\n", code.name, code.cause,
                       code.remedy.empty() ? "" : " *Remedy:* " + code.remedy,
                       code.more.empty() ? "" : " (" + code.more + ")");
  }
  return out;
}

}  // namespace penstock::cli
