#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/flags.h"
#include "lab/capture/filter.h"
#include "lab/capture/sniffer.h"
#include "lab/verbs/verbs.h"
#include "net/linux/fd.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;

struct Options {
  LabChoice lab;
  std::vector<std::string> places;
  std::string file, filter, time;
  std::uint64_t packets = 0;
};

// NODE or NODE:IF; neither names of nodes nor of VMs have a colon.
Result<SniffPlace> place_of(const Lab& lab, const std::string& text) {
  const auto colon = text.find(':');
  const auto node = text.substr(0, colon);
  const auto spec = PENSTOCK_TRY(lab.enter(node));
  return SniffPlace{node, spec.netns, colon == std::string::npos ? "" : text.substr(colon + 1)};
}

Result<linux_net::Fd> open_output(const std::string& file) {
  linux_net::Fd fd(file == "-"
                       ? dup(STDOUT_FILENO)
                       : open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail_errno(errno, file);
  return fd;
}

Result<Exit> capture(Invocation& inv, const Options& options) {
  PENSTOCK_CHECK(need_root());
  if (options.file == "-" && isatty(STDOUT_FILENO) == 1)
    return inv.usage("a terminal cannot show a pcapng file",
                     "penstock lab capture h1 -o - | tcpdump -nr -");
  SniffLimits limits{.packets = options.packets, .time = {}};
  if (!options.time.empty()) limits.time = PENSTOCK_TRY(cli::parse_duration(options.time));
  const auto lab = PENSTOCK_TRY(options.lab.attach(inv));
  const auto filter = PENSTOCK_TRY(compile_filter(options.filter));
  std::vector<SniffPlace> places;
  for (const auto& text : options.places) places.push_back(PENSTOCK_TRY(place_of(lab, text)));
  const auto output = PENSTOCK_TRY(open_output(options.file));
  int error = 0;
  const auto write = [&](std::string_view bytes) {
    while (!bytes.empty()) {
      const auto written = ::write(output.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) error = errno;
      if (written < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  };
  auto& console = inv.console();
  const auto counts = PENSTOCK_TRY(sniff(
      places, filter, limits, write,
      [&] {
        console.note(fmt::format("capturing {}{}", fmt::join(options.places, ", "),
                                 options.packets || limits.time ? "" : "; Ctrl-C ends it"));
      },
      [&](const SniffCounts& now) { console.progress(fmt::format("{} packets", now.packets)); }));
  if (error != 0 && error != EPIPE) return fail_errno(error, options.file);
  console.note(fmt::format("{} packet{}, {} lost by the kernel", counts.packets,
                           counts.packets == 1 ? "" : "s", counts.dropped));
  if (options.file != "-") console.note(fmt::format("read it: tcpdump -nr {}", options.file));
  return Exit::kDone;
}

}  // namespace

void add_capture(Below& below) {
  auto options = std::make_shared<Options>();
  auto& verb =
      below.add("capture", "packets of nodes into a pcapng file, several nodes at once",
                {"penstock lab capture h1:eth0 -o h1.pcapng --for 10s",
                 "penstock lab capture acme/web h1 --filter 'tcp port 80' -o - | tcpdump -nr -"});
  verb.app->add_option("node", options->places, "NODE: all its interfaces; or NODE:INTERFACE")
      ->required();
  verb.app->add_option("-o,--output", options->file, "the file, or - for standard output")
      ->required();
  verb.app->add_option("-f,--filter", options->filter, "expression of tcpdump (pcap-filter(7))");
  verb.app->add_option("-c,--count", options->packets, "end after so many packets");
  verb.app->add_option("--for", options->time, "end after this time: 500ms, 10s, 2m");
  options->lab.declare(verb);
  verb.completes(node_place());
  verb.on([options](Invocation& inv) { return capture(inv, *options); });
}

}  // namespace penstock::lab
