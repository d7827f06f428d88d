#include "lab/links/links.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "lab/links/link_program.h"
#include "lab/links/relay.h"
#include "lab/process.h"
#include "lab/underlay.h"
#include "net/linux/links.h"

namespace penstock::lab {
namespace {

using cli::at;
using cli::number_at;
using cli::text_at;
using linux_net::Fd;
using linux_net::NetlinkSocket;
using linux_net::NetNamespace;
using std::chrono::milliseconds;

constexpr const char* kFile = "links.json";
constexpr const char* kRelay = "relay";  // its pid and its log
constexpr milliseconds kRelayStart{5'000};
constexpr milliseconds kLastFrames{10};
constexpr std::uint32_t kAnySegments = 65'535;  // the kernel's standard, GSO_MAX_SEGS

// One change at a time; gone with the process that holds it.
Result<Fd> lock(const Folder& folder) {
  const auto path = folder.path("links.lock");
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd || flock(fd.get(), LOCK_EX) != 0) return fail_errno(errno, path);
  return fd;
}

bool needs_relay(const Json& links) {
  return std::ranges::any_of(
      links, [](const Json& link) { return Impairments::from_json(link).needs_time(); });
}

std::set<std::size_t> impaired_networks(const Topology& topology, const Json& links) {
  std::set<std::size_t> networks;
  for (const auto& [name, link] : links.items())
    if (const auto* attachment = topology.find_link(name)) networks.insert(attachment->network);
  return networks;
}

}  // namespace

Result<Json> Links::read_file() const {
  const auto text = folder_.read(kFile);
  if (!text) return Json::object();
  auto json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) return fail(Code::kInternal, folder_.path(kFile) + " cannot be read");
  return json;
}

Result<Impairments> Links::get(const std::string& link) const {
  return Impairments::from_json(at(PENSTOCK_TRY(read_file()), link));
}

Result<std::vector<LinkState>> Links::list() const {
  const auto set = PENSTOCK_TRY(read_file());
  const auto relay =
      needs_relay(set) ? ask_relay(folder_.path("relay.sock"), "counts") : Json::object();
  const auto fabric = PENSTOCK_TRY(NetNamespace::open(folder_.netns(kFabric)));
  std::vector<LinkState> states;
  PENSTOCK_CHECK(fabric.run([&]() -> Status {
    auto socket = PENSTOCK_TRY(NetlinkSocket::open());
    const auto ports = PENSTOCK_TRY(linux_net::list_links(socket));
    Status status;
    topology_.each_node([&](const Node& node) {
      for (const auto& attachment : node.attachments) {
        LinkState state{.link = attachment.link,
                        .node = node.name,
                        .network = topology_.networks[attachment.network].name,
                        .impairments = Impairments::from_json(at(set, attachment.link))};
        state.broken = state.impairments.needs_time() && !relay;
        const auto port = std::ranges::find(ports, attachment.port, &linux_net::LinkInfo::name);
        if (port != ports.end() && state.impairments.any()) {
          auto counts = link_counts(port->ifindex);
          if (!counts)
            status = std::unexpected(std::move(counts).error());
          else if (*counts)
            state.counts = **counts;
        }
        for (const bool out : {false, true}) {
          if (!relay) continue;
          const auto& line = at(*relay, relay_tap(attachment.port, out));
          state.lines[out] = {static_cast<std::uint64_t>(number_at(at(line, "taken"))),
                              static_cast<std::uint64_t>(number_at(at(line, "overrun"))),
                              static_cast<std::uint64_t>(number_at(at(line, "reordered")))};
        }
        states.push_back(std::move(state));
      }
    });
    return status;
  }));
  return states;
}

Status Links::set(const std::vector<LinkSetting>& settings, bool restart_dice) const {
  if (settings.empty()) return {};
  const auto held = PENSTOCK_TRY(lock(folder_));
  const auto before = PENSTOCK_TRY(read_file());
  auto after = before;
  std::set<std::string> restart;
  for (const auto& setting : settings) {
    const auto* attachment = topology_.find_link(setting.link);
    if (!attachment) return fail(Code::kNotFound, fmt::format("there is no link {}", setting.link));
    after.erase(attachment->link);
    if (restart_dice) restart.insert(attachment->link);
    if (!setting.impairments.any()) continue;
    auto entry = setting.impairments.json();
    entry["port"] = attachment->port;
    entry["mtu"] = topology_.networks[attachment->network].mtu;
    after[attachment->link] = std::move(entry);
  }
  auto applied = apply(before, after, restart);
  if (!applied) (void)apply(after, before, {});  // the first error is the one to tell
  return applied;
}

Status Links::apply(const Json& before, const Json& after,
                    const std::set<std::string>& restart_dice) const {
  PENSTOCK_CHECK(folder_.write(kFile, after.dump(2) + "\n"));
  const bool relay = needs_relay(after), fresh = relay && folder_.running_pid(kRelay) == 0;
  if (fresh) PENSTOCK_CHECK(start_relay());
  if (relay) PENSTOCK_CHECK(ask_relay(folder_.path("relay.sock"), "update"));
  PENSTOCK_CHECK(set_segments(before, after));
  std::set<std::string> all;
  for (const auto* links : {&before, &after})
    for (const auto& [name, unused] : links->items()) all.insert(name);
  for (const auto& name : all) {
    // A relay that was started again has made new TAPs: every link that waits needs to know them.
    const bool moved = fresh && Impairments::from_json(at(after, name)).needs_time();
    const bool restart = restart_dice.contains(name);
    if (at(before, name) != at(after, name) || moved || restart)
      PENSTOCK_CHECK(apply_program(name, at(after, name), restart));
  }
  // Programs that began before the change may still hand a frame to a TAP that is about to go.
  if (needs_relay(before)) std::this_thread::sleep_for(kLastFrames);
  if (relay) {
    PENSTOCK_CHECK(ask_relay(folder_.path("relay.sock"), "trim"));
  } else if (folder_.running_pid(kRelay) != 0) {
    PENSTOCK_CHECK(ask_relay(folder_.path("relay.sock"), "trim"));  // lets frames under way arrive
    PENSTOCK_CHECK(stop_daemon(folder_, kRelay));
  }
  return {};
}

Status Links::start_relay() const {
  PENSTOCK_CHECK(start_daemon(folder_, kRelay,
                              {{program_path(topology_.programs, "penstock-link-relay"),
                                folder_.path(kFile), folder_.path("relay.sock")},
                               folder_.netns(kFabric),
                               "",
                               folder_.path("logs/relay")}));
  const auto end = std::chrono::steady_clock::now() + kRelayStart;
  while (true) {
    if (ask_relay(folder_.path("relay.sock"), "counts")) return {};
    if (folder_.running_pid(kRelay) == 0 || std::chrono::steady_clock::now() > end)
      return fail(Code::kUnavailable, "the relay of slow links did not start",
                  "see " + folder_.path("logs/relay"));
    std::this_thread::sleep_for(milliseconds(5));
  }
}

Status Links::apply_program(const std::string& link, const Json& setting, bool restart_dice) const {
  const auto* attachment = topology_.find_link(link);
  if (!attachment) return fail(Code::kNotFound, fmt::format("there is no link {}", link));
  const auto impairments = Impairments::from_json(setting);
  const auto fabric = PENSTOCK_TRY(NetNamespace::open(folder_.netns(kFabric)));
  return fabric.run([&]() -> Status {
    auto socket = PENSTOCK_TRY(NetlinkSocket::open());
    const auto ports = PENSTOCK_TRY(linux_net::list_links(socket));
    const auto ifindex_of = [&](const std::string& name) {
      const auto found = std::ranges::find(ports, name, &linux_net::LinkInfo::name);
      return found == ports.end() ? 0 : found->ifindex;
    };
    LinkSeat seat{.port = ifindex_of(attachment->port)};
    if (seat.port == 0) return fail(Code::kInternal, fmt::format("link {} has no end", link));
    if (!impairments.any()) return remove_link_program(seat.port);
    for (const bool out : {false, true}) {
      const auto& way = out ? impairments.out : impairments.in;
      if (way.needs_time()) seat.relays[out] = ifindex_of(relay_tap(attachment->port, out));
    }
    return set_link_program(seat, impairments, restart_dice);
  });
}

// A program sees a large TCP segment of the stack as one frame; on a wire it would be forty.
Status Links::set_segments(const Json& before, const Json& after) const {
  const auto was = impaired_networks(topology_, before), is = impaired_networks(topology_, after);
  if (was == is) return {};
  Status status;
  topology_.each_node([&](const Node& node) {
    for (const auto& attachment : node.attachments) {
      const bool now = is.contains(attachment.network);
      if (!status || now == was.contains(attachment.network)) continue;
      status = [&]() -> Status {
        const auto space = PENSTOCK_TRY(NetNamespace::open(folder_.netns(node.name)));
        auto socket = PENSTOCK_TRY(NetlinkSocket::open_in(space));
        const auto link = PENSTOCK_TRY(linux_net::find_link(socket, attachment.device));
        return linux_net::set_link_segments(socket, link.ifindex, now ? 1 : kAnySegments);
      }();
    }
  });
  return status;
}

}  // namespace penstock::lab
