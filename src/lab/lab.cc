#include "lab/lab.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "cli/documents.h"
#include "lab/check.h"
#include "lab/objects.h"
#include "lab/underlay.h"
#include "model/kinds.h"

namespace penstock::lab {
namespace {

namespace fs = std::filesystem;
using cli::at;
using cli::text_at;
using std::chrono::milliseconds;

constexpr int kGrpcPort = 7781;
constexpr milliseconds kServerStart{15'000};
constexpr milliseconds kCommand{30'000};
constexpr milliseconds kRollout{60'000};
constexpr std::size_t kBatch = 1'000;
// Of a lab that `up` finished.
constexpr const char* kWhole = "whole";

std::string bracketed(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

std::string counted(std::size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string underlay_text(const Topology& topology) {
  auto text = fmt::format(
      "underlay: {}, {}, {}", counted(topology.networks.size(), "physical network"),
      counted(topology.routers.size(), "router"), counted(topology.hosts.size(), "host"));
  if (!topology.remotes.empty()) text += ", " + counted(topology.remotes.size(), "remote system");
  if (!topology.devices.empty()) text += ", " + counted(topology.devices.size(), "device");
  if (!topology.links.empty()) text += ", " + counted(topology.links.size(), "impaired link");
  return text;
}

// Of a lab that is there; its file is as it was when it was made.
Result<Topology> remembered(const Folder& folder) {
  const auto kept = Json::parse(PENSTOCK_TRY(folder.read("topology.json")), nullptr, false);
  auto topology = PENSTOCK_TRY(
      parse_topology(PENSTOCK_TRY(folder.read("topology.yaml")), folder.path("topology.yaml"), ""));
  topology.name = folder.lab();
  topology.folder = text_at(at(kept, "folder"));
  topology.programs = text_at(at(kept, "programs"));
  return topology;
}

}  // namespace

Status Lab::remember() const {
  PENSTOCK_CHECK(folder_.write("topology.yaml", topology_.text));
  return folder_.write("topology.json", Json({{"name", topology_.name},
                                              {"folder", topology_.folder},
                                              {"programs", topology_.programs}})
                                                .dump(2) +
                                            "\n");
}

Result<Lab> Lab::up(const Topology& topology, const Progress& progress, bool keep) {
  PENSTOCK_CHECK(check_objects(topology));
  Lab lab(Folder(topology.name), topology);
  PENSTOCK_CHECK(lab.folder_.create());
  if (auto built = lab.build(progress); !built) {
    auto error = std::move(built).error();
    if (keep || error.code != Code::kInvalidArgument) return std::unexpected(std::move(error));
    const auto gone = lab.folder_.remove();
    error.message += gone ? fmt::format("; lab {} was taken down again", topology.name)
                          : fmt::format("; lab {} could not be taken down: {}", topology.name,
                                        gone.error().message);
    return std::unexpected(std::move(error));
  }
  return lab;
}

Status Lab::build(const Progress& progress) const {
  PENSTOCK_CHECK(remember());
  progress("underlay", false);
  PENSTOCK_CHECK(build_underlay(folder_, topology_));
  PENSTOCK_CHECK(links().set(topology_.links, true));
  progress(underlay_text(topology_), true);
  PENSTOCK_CHECK(run_commands(progress));
  progress("management server", false);
  PENSTOCK_CHECK(start_server());
  progress("management server answers", true);
  PENSTOCK_CHECK(admit_hosts());
  PENSTOCK_CHECK(start_agents(progress));
  PENSTOCK_CHECK(apply_objects(progress));
  PENSTOCK_CHECK(folder_.write(kWhole, ""));
  folder_.built();
  return {};
}

Result<std::optional<Lab>> Lab::already_up(const Topology& topology) {
  const Folder folder(topology.name);
  if (!folder.exists()) return std::nullopt;
  const auto refuse = [&](std::string_view why) {
    return fail(Code::kAlreadyExists,
                fmt::format("lab {} is there already: {}", topology.name, why),
                fmt::format("penstock lab down {}", topology.name));
  };
  if (folder.of_another_version()) return refuse("made by another version of penstock");
  if (folder.building()) return refuse("it is being built right now");
  if (!folder.read(kWhole)) return refuse("its `up` did not get to the end");
  if (folder.read("topology.yaml") != topology.text) return refuse("made from another topology");
  for (const auto& program : folder.programs())
    if (folder.running_pid(program) == 0) return refuse(program + " does not run any more");
  return PENSTOCK_TRY(attach(topology.name));
}

Result<Lab> Lab::attach(const std::string& name) {
  const Folder folder(name);
  if (folder.exists()) {
    if (folder.of_another_version())
      return fail(Code::kFailedPrecondition,
                  fmt::format("lab {} was made by another version of penstock", name),
                  fmt::format("penstock lab down {}", name));
    auto topology = remembered(folder);
    if (!topology)
      return fail(Code::kFailedPrecondition,
                  fmt::format("lab {} is only half there: {}", name, topology.error().message),
                  fmt::format("penstock lab down {}", name));
    return Lab(folder, std::move(*topology));
  }
  const auto labs = Folder::all_labs();
  return fail(Code::kNotFound, fmt::format("there is no lab {}", name),
              labs.empty() ? "penstock lab up examples/figure1.yaml"
                           : fmt::format("labs: {}", fmt::join(labs, ", ")));
}

Status Lab::run_commands(const Progress& progress) const {
  Status status;
  topology_.each_node([&](const Node& node) {
    for (std::size_t i = 0; i < node.commands.size() && status; ++i) {
      const auto which = fmt::format("{} {}: command {} of {}", lab::name(node.kind), node.name,
                                     i + 1, node.commands.size());
      progress(which, false);
      status = [&]() -> Status {
        auto spec = PENSTOCK_TRY(enter(node.name));
        spec.words = {"/bin/sh", "-c", node.commands[i]};
        const auto output = PENSTOCK_TRY(capture_in(spec, static_cast<int>(kCommand.count())));
        if (output.status == 0) return {};
        return fail(
            Code::kFailedPrecondition,
            fmt::format("{} {}: {}{}", which,
                        output.status == 124
                            ? fmt::format("did not end within {} s", kCommand.count() / 1000)
                            : fmt::format("failed with status {}", output.status),
                        node.commands[i], output.text.empty() ? "" : "\n" + output.text),
            "what has to stay belongs under `run`");
      }();
    }
    if (node.run.empty() || !status) return;
    status = [&]() -> Status {
      auto spec = PENSTOCK_TRY(enter(node.name));
      spec.words = {"/bin/sh", "-c", node.run};
      spec.log = folder_.path("logs/" + node.name);
      PENSTOCK_CHECK(start_daemon(folder_, node.name, spec));
      return {};
    }();
  });
  return status;
}

Result<cli::Api> Lab::api(const std::string& token) const {
  return cli::Api(PENSTOCK_TRY(cli::parse_server(folder_.server_url())), token);
}

Result<cli::Api> Lab::api() const {
  auto token = PENSTOCK_TRY(folder_.read("server/admin.token"));
  while (token.ends_with('\n')) token.pop_back();
  return api(token);
}

Result<std::string> Lab::token_of(const std::string& user) const {
  Json token = {
      {"kind", "Token"}, {"metadata", {{"name", "lab-" + user}}}, {"spec", {{"user", user}}}};
  auto connection = PENSTOCK_TRY(api());
  // The secret of a token is told once: a second one takes the first one's place.
  (void)connection.remove({"tokens", "", "lab-" + user}, false, {});
  const auto answer =
      PENSTOCK_TRY(connection.batch(Json::array({{{"put", std::move(token)}}}), true, {}));
  const auto& item = at(answer, "items")[0];
  if (!text_at(at(item, "error", "code")).empty())
    return std::unexpected(cli::failure_of(at(item, "error")));
  return text_at(at(item, "object", "status", "secret"));
}

Result<std::string> Lab::token_file_of(const std::string& user) const {
  const auto below = "tokens/" + user;
  PENSTOCK_CHECK(folder_.write_secret(below, PENSTOCK_TRY(token_of(user)) + "\n"));
  return folder_.path(below);
}

Result<IpAddress> Lab::address_of(const std::string& node, Family family) const {
  const auto none = [&] {
    return fail(Code::kNotFound,
                fmt::format("{} has no IPv{} address", node, family == Family::kV4 ? 4 : 6));
  };
  if (const auto slash = node.find('/'); slash != std::string::npos) {
    auto connection = PENSTOCK_TRY(api());
    const auto vm =
        PENSTOCK_TRY(connection.get({"vms", node.substr(0, slash), node.substr(slash + 1)}));
    for (const auto& text : at(vm, "status", "addresses"))
      if (const auto address = IpAddress::parse(text_at(text));
          address && address->family == family)
        return *address;
    return none();
  }
  const auto* known = topology_.find(node);
  if (!known)
    return fail(Code::kNotFound, fmt::format("lab {} has no node {}", folder_.lab(), node));
  for (const auto& attachment : known->attachments)
    if (attachment.address.family == family) return attachment.address;
  return none();
}

Status Lab::apply(cli::Json objects, milliseconds deadline, const Progress& progress) const {
  std::vector<Wanted> wanted;
  for (auto& object : objects) {
    const cli::Document document{{}, {}, object};
    wanted.push_back({std::move(object), [title = document.title()](ErrorDetail detail) {
                        detail.field = fmt::format("{}  {}", title, detail.field);
                        return detail;
                      }});
  }
  return apply(wanted, deadline, progress);
}

Status Lab::apply(const std::vector<Wanted>& objects, milliseconds deadline,
                  const Progress& progress) const {
  auto connection = PENSTOCK_TRY(api());
  std::size_t done = 0;
  if (progress)
    connection.set_waiting([&](std::chrono::seconds waited) {
      progress(fmt::format("objects: {} of {} applied, waiting for hosts {} s", done,
                           objects.size(), waited.count()),
               false);
    });
  for (std::size_t start = 0; start < objects.size(); start += kBatch) {
    Json items = Json::array();
    const auto end = std::min(objects.size(), start + kBatch);
    for (auto i = start; i < end; ++i) items.push_back({{"put", objects[i].object}});
    const auto answer =
        PENSTOCK_TRY(connection.batch(std::move(items), false, {false, true, deadline}));
    std::optional<Error> refused;
    for (std::size_t i = 0; i < at(answer, "items").size(); ++i) {
      const auto& item = at(at(answer, "items")[i], "error");
      if (item.is_null() || text_at(at(item, "code")).empty()) continue;
      const auto error = cli::failure_of(item);
      if (!refused) refused = Error{error.code, "the server refused objects", {}, error.hint};
      for (auto& detail : placed(objects[start + i], error))
        refused->details.push_back(std::move(detail));
    }
    if (refused) return std::unexpected(std::move(*refused));
    done = end;
    const auto& outcome = at(answer, "outcome");
    if (!at(outcome, "deadlinePassed").is_boolean() || !at(outcome, "deadlinePassed").get<bool>())
      continue;
    std::string laggards;
    for (const auto& host : at(outcome, "rollout", "waiting"))
      laggards += fmt::format("{}{}: {}", laggards.empty() ? "" : "; ", text_at(at(host, "host")),
                              text_at(at(host, "message")));
    return fail(Code::kDeadlineExceeded,
                fmt::format("not applied after {} ms: {}", deadline.count(), laggards));
  }
  return {};
}

Status Lab::apply_file(const std::string& path) const {
  const auto documents = PENSTOCK_TRY(cli::load_documents({path}, false, cli::process_io(), ""));
  if (!documents.problems.empty()) return fail(Code::kInvalidArgument, documents.problems.front());
  return apply(wanted_of(documents), kRollout, {});
}

std::vector<std::string> Lab::hosts() const {
  std::vector<std::string> names;
  for (const auto& host : topology_.hosts) names.push_back(host.name);
  return names;
}

std::vector<std::string> Lab::nodes() const {
  std::vector<std::string> names;
  topology_.each_node([&](const Node& node) { names.push_back(node.name); });
  auto connection = api();
  if (!connection) return names;
  connection->set_timeout(milliseconds(1'000));
  for (const auto& vm : connection->list({"vms", "", ""}, "").value_or(Json::array()))
    names.push_back(text_at(at(vm, "metadata", "tenant")) + "/" +
                    text_at(at(vm, "metadata", "name")));
  return names;
}

Result<ProcessSpec> Lab::enter(const std::string& node) const {
  ProcessSpec spec;
  if (const auto slash = node.find('/'); slash != std::string::npos) {
    auto connection = PENSTOCK_TRY(api());
    const auto vm =
        PENSTOCK_TRY(connection.get({"vms", node.substr(0, slash), node.substr(slash + 1)}));
    const auto host = text_at(at(vm, "status", "host"));
    spec.netns = folder_.instance_netns(host, node);
    if (host.empty() || !fs::exists(spec.netns))
      return fail(Code::kFailedPrecondition, fmt::format("vm {} does not run", node),
                  fmt::format("penstock explain vm {}", node));
    return spec;
  }
  spec.netns = folder_.netns(node);
  if (fs::exists(spec.netns)) {
    const auto* known = topology_.find(node);
    if (known && known->kind == NodeKind::kHost) spec.hostname = node;
    return spec;
  }
  const auto known = nodes();
  auto hint = did_you_mean(node, known);
  if (hint.empty()) hint = fmt::format("nodes: {}", fmt::join(known, ", "));
  return fail(Code::kNotFound, fmt::format("lab {} has no node {}", folder_.lab(), node),
              std::move(hint));
}

Status Lab::start_server() const {
  const auto address = bracketed(topology_.server.address().text());
  PENSTOCK_CHECK(
      start_daemon(folder_, "penstockd",
                   {{program_path(topology_.programs, "penstockd"), "--data",
                     folder_.path("server"), "--listen-http", folder_.server_url(), "--listen-grpc",
                     fmt::format("{}:{}", address, kGrpcPort), "--insecure-listen"},
                    folder_.netns(kServerNode),
                    "",
                    folder_.path("logs/penstockd")}));
  return wait_for_server();
}

Status Lab::wait_for_server() const {
  const auto end = std::chrono::steady_clock::now() + kServerStart;
  while (true) {
    if (auto connection = api()) {
      auto answer = connection->read("/v1:status", {});
      if (answer) return {};
      if (answer.error().code != Code::kUnavailable || std::chrono::steady_clock::now() > end)
        return std::unexpected(std::move(answer).error());
    }
    if (folder_.running_pid("penstockd") == 0 || std::chrono::steady_clock::now() > end)
      return fail(Code::kUnavailable, "penstockd did not start",
                  "see " + folder_.path("logs/penstockd"));
    std::this_thread::sleep_for(milliseconds(10));
  }
}

Status Lab::stop_server(bool at_once) const {
  return stop_daemon(folder_, "penstockd", at_once);
}

Status Lab::admit_hosts() const {
  auto connection = PENSTOCK_TRY(api());
  Json items = Json::array();
  for (auto& object : host_objects(topology_)) items.push_back({{"put", std::move(object)}});
  for (const auto& host : topology_.hosts)
    items.push_back({{"put",
                      {{"kind", "Token"},
                       {"metadata", {{"name", "host-" + host.name}}},
                       {"spec", {{"host", host.name}}}}}});
  const auto answer = PENSTOCK_TRY(connection.batch(std::move(items), false, {}));
  for (const auto& item : at(answer, "items")) {
    if (!text_at(at(item, "error", "code")).empty())
      return std::unexpected(cli::failure_of(at(item, "error")));
    const auto& object = at(item, "object");
    if (text_at(at(object, "kind")) != "Token") continue;
    const auto host = text_at(at(object, "spec", "host"));
    std::error_code error;
    for (const auto* below : {"run", "state", "bpf"})
      fs::create_directories(folder_.host(host) + "/" + below, error);
    PENSTOCK_CHECK(folder_.write_secret("hosts/" + host + "/token",
                                        text_at(at(object, "status", "secret")) + "\n"));
    // Its own file system for pinned maps and programs: mounted here, not by the host's daemon, so
    // that it outlives it.
    const auto pins = folder_.host(host) + "/bpf";
    if (mount("bpf", pins.c_str(), "bpf", 0, "mode=0700") != 0)
      return fail_errno(errno, "mount bpffs on " + pins);
  }
  return {};
}

Status Lab::start_host(const std::string& host) const {
  const auto root = folder_.host(host);
  ProcessSpec spec{
      {program_path(topology_.programs, "penstock-hostd"), "--name", host, "--server",
       fmt::format("{}:{}", bracketed(topology_.server.address().text()), kGrpcPort),
       "--token-file", root + "/token", "--state", root + "/state", "--run", root + "/run",
       "--bpffs", root + "/bpf", "--listen-metrics", "unix:" + root + "/metrics.sock"},
      folder_.netns(host),
      host,
      folder_.path("logs/" + host)};
  for (const auto& tunable : topology_.tunables) {
    spec.words.push_back("--set");
    spec.words.push_back(tunable);
  }
  PENSTOCK_TRY(start_daemon(folder_, host, spec));
  return {};
}

Status Lab::stop_host(const std::string& host, bool at_once) const {
  return stop_daemon(folder_, host, at_once);
}

Status Lab::restart(const std::string& program, bool at_once) const {
  if (program == kServerNode) {
    PENSTOCK_CHECK(stop_server(at_once));
    return start_server();
  }
  const auto known = hosts();
  if (std::ranges::find(known, program) == known.end())
    return fail(Code::kNotFound, fmt::format("lab {} has no host {}", folder_.lab(), program),
                fmt::format("hosts: {}; or: {}", fmt::join(known, ", "), kServerNode));
  PENSTOCK_CHECK(stop_host(program, at_once));
  return start_host(program);
}

Status Lab::start_agents(const Progress& progress) const {
  for (std::size_t i = 0; i < topology_.hosts.size(); ++i) {
    progress(fmt::format("agent {} of {}", i + 1, topology_.hosts.size()), false);
    PENSTOCK_CHECK(start_host(topology_.hosts[i].name));
  }
  progress("host agents started", true);
  return {};
}

Status Lab::apply_objects(const Progress& progress) const {
  progress("objects", false);
  const auto objects = PENSTOCK_TRY(wanted_objects(topology_));
  if (auto applied = apply(objects, kRollout, progress); !applied) {
    auto error = std::move(applied).error();
    // A refusal, for whatever reason, is about what the file asks for.
    if (!error.details.empty()) error.code = Code::kInvalidArgument;
    return std::unexpected(std::move(error));
  }
  progress("objects applied on every host", true);
  return {};
}

}  // namespace penstock::lab
