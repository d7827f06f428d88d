// penstock trace: what happens to a packet, the answer first.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/trace_text.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock trace acme/web-1 10.0.2.7:22/tcp";

struct Options {
  std::vector<std::string> words;
  std::string nic, from, from_mac, to_mac, icmp, deadline;
  std::vector<std::string> flags;
  unsigned source_port = 0;
  int length = 0;
  bool live = false, minimal = false;
  OutputOptions output;
};

Result<Exit> trace(Invocation& inv, const Options& options) {
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  auto ends = parse_trace_ends(options.words);
  if (!ends) return inv.usage(ends.error(), kTry);
  const auto ref =
      parse_name(kind_of<v1::VirtualMachine>(), ends->vm, PENSTOCK_TRY(inv.settings())->tenant);
  if (!ref) return inv.usage(ref.error(), kTry);
  Json packet = std::move(ends->packet);
  const auto put = [&](const char* field, const std::string& text) {
    if (!text.empty()) packet[field] = text;
  };
  put("source", options.from);
  put("sourceMac", options.from_mac);
  put("destinationMac", options.to_mac);
  put("icmp", options.icmp);
  if (options.source_port != 0) packet["sourcePort"] = options.source_port;
  if (options.length != 0) packet["length"] = options.length;
  if (!options.flags.empty()) packet["tcpFlags"] = options.flags;
  Json request{{"vm", ref->name}, {"packet", std::move(packet)}};
  const auto nic = options.nic.empty() ? ends->nic : options.nic;
  if (!nic.empty()) request["nic"] = nic;
  if (options.live) request["live"] = true;
  Api& api = *PENSTOCK_TRY(inv.api());
  if (!options.deadline.empty()) {
    const auto deadline = parse_duration(options.deadline);
    if (!deadline) return inv.usage(deadline.error(), kTry);
    request["deadline"] = fmt::format("{:.3f}s", static_cast<double>(deadline->count()) / 1000);
    api.set_timeout(*deadline + std::chrono::seconds(10));
  }
  Json answer =
      PENSTOCK_TRY(api.post("/v1/tenants/" + encode(ref->tenant) + ":trace", request, {}));
  if (options.minimal) make_minimal(answer);
  if (form->is_table())
    print_trace(inv.console(), answer, options.minimal);
  else
    PENSTOCK_CHECK(print_data(inv.console(), answer, *form));
  const auto disposition = text_at(at(answer, "disposition"));
  const bool arrived =
      disposition == "DELIVERED" || disposition == "CONSUMED" || disposition == "HANDED_TO_REMOTE";
  return arrived ? Exit::kDone : Exit::kNo;
}

}  // namespace

void add_trace_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(
      "trace", "what happens to a packet, through the real programs of every host on its path",
      {"penstock trace acme/web-1 10.0.2.7:22/tcp", "penstock trace acme/web-1 db-1:5432",
       "penstock trace acme/web-1/eth0 [fd00::7]:53/udp -o json",
       "penstock trace acme/web-1 10.0.2.7 --minimal"});
  verb.app
      ->add_option("ends", options->words,
                   "VM[/NIC] and ADDRESS or VM[:PORT][/PROTOCOL]; without a port: an echo request")
      ->required();
  verb.app->add_option("--nic", options->nic, "of the sender; else its first");
  verb.app->add_option("--from", options->from, "source address; else the NIC's first");
  verb.app->add_option("--source-port", options->source_port, "else 49152");
  verb.app->add_option("--flags", options->flags, "of TCP: syn,ack; else syn")->delimiter(',');
  verb.app->add_option("--icmp", options->icmp, "TYPE or TYPE/CODE; else an echo request");
  verb.app->add_option("--from-mac", options->from_mac, "source MAC; else the NIC's");
  verb.app->add_option("--to-mac", options->to_mac, "else what the switch answers to ARP or ND");
  verb.app->add_option("--length", options->length, "bytes of the IP packet");
  verb.app->add_flag("--live", options->live, "the next real packet between these ends");
  verb.app->add_option("--deadline", options->deadline, "how long to wait: 10s");
  verb.app->add_flag("--minimal", options->minimal, "no ids, revisions or times");
  verb.completes({"", Complete::kNameOfKind, {"vm"}});
  options->output.declare(verb, /*tables=*/false);
  verb.on([options](Invocation& inv) { return trace(inv, *options); });
}

}  // namespace penstock::cli
