#include "lab/lab.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "cli/documents.h"
#include "lab/underlay.h"

namespace penstock::lab {
namespace {

namespace fs = std::filesystem;
using cli::at;
using cli::text_at;
using std::chrono::milliseconds;

constexpr int kGrpcPort = 7781;
constexpr milliseconds kServerStart{15'000};
constexpr std::size_t kBatch = 1'000;

// What later commands need of the topology.
Json remembered(const Topology& topology) {
  Json hosts = Json::array(), remotes = Json::array();
  for (const auto& host : topology.hosts)
    hosts.push_back({{"name", host.name}, {"address", host.address.text()}});
  for (const auto& remote : topology.remotes) remotes.push_back(remote.name);
  return {{"name", topology.name},         {"serverAddress", topology.server.address.text()},
          {"hosts", std::move(hosts)},     {"remotes", std::move(remotes)},
          {"programs", topology.programs}, {"tunables", topology.tunables}};
}

Json host_object(const Topology& topology, const Node& host) {
  Json spec = {
      {"uplinks", Json::array({{{"name", "uplink0"},
                                {"device", "eth0"},
                                {"address", host.address.text()},
                                {"physicalNetwork", topology.networks[host.network].name}}})}};
  if (!host.cluster.empty()) spec["cluster"] = host.cluster;
  return {{"kind", "Host"}, {"metadata", {{"name", host.name}}}, {"spec", std::move(spec)}};
}

std::string program_of(const Json& topology, const std::string& name) {
  const auto folder = text_at(at(topology, "programs"));
  return folder.empty() ? sibling_program(name) : folder + "/" + name;
}

std::string bracketed(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

}  // namespace

Result<Lab> Lab::up(const Topology& topology, const Progress& progress) {
  Lab lab{Folder(topology.name)};
  PENSTOCK_CHECK(lab.folder_.create());
  PENSTOCK_CHECK(lab.folder_.write("topology.json", remembered(topology).dump(2) + "\n"));
  PENSTOCK_CHECK(build_underlay(lab.folder_, topology));
  progress(fmt::format("underlay: {} physical network{}, router, {} host{}, {} remote system{}",
                       topology.networks.size(), topology.networks.size() == 1 ? "" : "s",
                       topology.hosts.size(), topology.hosts.size() == 1 ? "" : "s",
                       topology.remotes.size(), topology.remotes.size() == 1 ? "" : "s"));
  PENSTOCK_CHECK(lab.start_server());
  progress("management server answers");
  PENSTOCK_CHECK(lab.admit_hosts(topology));
  for (const auto& host : topology.hosts) PENSTOCK_CHECK(lab.start_host(host.name));
  for (const auto& remote : topology.remotes) {
    if (remote.run.empty()) continue;
    PENSTOCK_CHECK(start_daemon(lab.folder_, remote.name,
                                {{"/bin/sh", "-c", remote.run},
                                 lab.folder_.netns(remote.name),
                                 "",
                                 lab.folder_.path("logs/" + remote.name)}));
  }
  progress("host agents started");
  PENSTOCK_CHECK(lab.apply_objects(topology));
  progress("objects applied on every host");
  return lab;
}

Result<Lab> Lab::attach(const std::string& name) {
  Lab lab{Folder(name)};
  if (lab.folder_.exists()) return lab;
  const auto labs = Folder::all_labs();
  return fail(Code::kNotFound, fmt::format("there is no lab {}", name),
              labs.empty() ? "penstock lab up examples/figure1.yaml"
                           : fmt::format("labs: {}", fmt::join(labs, ", ")));
}

Result<cli::Api> Lab::api(const std::string& token) const {
  return cli::Api(PENSTOCK_TRY(cli::parse_server(folder_.server_url())), token);
}

Result<cli::Api> Lab::api() const {
  auto token = PENSTOCK_TRY(folder_.read("server/admin.token"));
  while (token.ends_with('\n')) token.pop_back();
  return api(token);
}

Status Lab::apply(cli::Json objects, milliseconds deadline) const {
  auto connection = PENSTOCK_TRY(api());
  for (std::size_t start = 0; start < objects.size(); start += kBatch) {
    Json items = Json::array();
    const auto end = std::min(objects.size(), start + kBatch);
    for (auto i = start; i < end; ++i) items.push_back({{"put", objects[i]}});
    const auto answer =
        PENSTOCK_TRY(connection.batch(std::move(items), false, {false, true, deadline}));
    for (std::size_t i = 0; i < at(answer, "items").size(); ++i) {
      const auto& error = at(at(answer, "items")[i], "error");
      if (error.is_null() || text_at(at(error, "code")).empty()) continue;
      const auto& object = objects[start + i];
      return std::unexpected(cli::failure_of(error).in(fmt::format(
          "{} {}", text_at(at(object, "kind")), text_at(at(object, "metadata", "name")))));
    }
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
  Json objects = Json::array();
  for (const auto& document : documents.all) objects.push_back(document.object);
  return apply(std::move(objects));
}

std::vector<std::string> Lab::hosts() const {
  std::vector<std::string> names;
  const auto text = folder_.read("topology.json");
  const auto topology = Json::parse(text ? *text : "", nullptr, false);
  for (const auto& host : at(topology, "hosts")) names.push_back(text_at(at(host, "name")));
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
    const auto known = hosts();
    if (std::ranges::find(known, node) != known.end()) spec.hostname = node;
    return spec;
  }
  std::vector<std::string> nodes;
  for (const auto& entry : fs::directory_iterator(folder_.path("netns")))
    nodes.push_back(entry.path().filename());
  std::ranges::sort(nodes);
  return fail(Code::kNotFound, fmt::format("lab {} has no node {}", folder_.lab(), node),
              fmt::format("nodes: {}; VMs as TENANT/NAME", fmt::join(nodes, ", ")));
}

Status Lab::start_server() const {
  const auto topology = Json::parse(PENSTOCK_TRY(folder_.read("topology.json")));
  const auto program = program_of(topology, "penstockd");
  const auto address = bracketed(text_at(at(topology, "serverAddress")));
  PENSTOCK_CHECK(start_daemon(
      folder_, "penstockd",
      {{program, "--data", folder_.path("server"), "--listen-http", folder_.server_url(),
        "--listen-grpc", fmt::format("{}:{}", address, kGrpcPort), "--insecure-listen"},
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

Status Lab::admit_hosts(const Topology& topology) const {
  Json objects = Json::array();
  std::vector<std::string> clusters;
  for (const auto& host : topology.hosts) {
    if (!host.cluster.empty() && std::ranges::find(clusters, host.cluster) == clusters.end()) {
      clusters.push_back(host.cluster);
      objects.push_back(
          {{"kind", "Cluster"}, {"metadata", {{"name", host.cluster}}}, {"spec", Json::object()}});
    }
  }
  for (const auto& host : topology.hosts) objects.push_back(host_object(topology, host));
  auto connection = PENSTOCK_TRY(api());
  Json items = Json::array();
  for (auto& object : objects) items.push_back({{"put", std::move(object)}});
  for (const auto& host : topology.hosts)
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
    PENSTOCK_CHECK(
        folder_.write("hosts/" + host + "/token", text_at(at(object, "status", "secret")) + "\n"));
    chmod((folder_.host(host) + "/token").c_str(), 0600);
    // Its own file system for pinned maps and programs: mounted here, not by the host's daemon, so
    // that it outlives it.
    const auto pins = folder_.host(host) + "/bpf";
    if (mount("bpf", pins.c_str(), "bpf", 0, "mode=0700") != 0)
      return fail_errno(errno, "mount bpffs on " + pins);
  }
  return {};
}

Status Lab::start_host(const std::string& host) const {
  const auto topology = Json::parse(PENSTOCK_TRY(folder_.read("topology.json")));
  const auto root = folder_.host(host);
  ProcessSpec spec{
      {program_of(topology, "penstock-hostd"), "--name", host, "--server",
       fmt::format("{}:{}", bracketed(text_at(at(topology, "serverAddress"))), kGrpcPort),
       "--token-file", root + "/token", "--state", root + "/state", "--run", root + "/run",
       "--bpffs", root + "/bpf"},
      folder_.netns(host),
      host,
      folder_.path("logs/" + host)};
  for (const auto& tunable : at(topology, "tunables")) {
    spec.words.push_back("--set");
    spec.words.push_back(text_at(tunable));
  }
  PENSTOCK_TRY(start_daemon(folder_, host, spec));
  return {};
}

Status Lab::stop_host(const std::string& host, bool at_once) const {
  return stop_daemon(folder_, host, at_once);
}

Status Lab::apply_objects(const Topology& topology) const {
  Json objects = Json::array();
  for (const auto& object : topology.objects) objects.push_back(object);
  PENSTOCK_CHECK(apply(std::move(objects)));
  for (const auto& file : topology.object_files) PENSTOCK_CHECK(apply_file(file));
  return {};
}

}  // namespace penstock::lab
