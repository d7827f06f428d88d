// A running lab: up, down, and what can be asked of it. Used by the verbs, the demo, the scenario
// tests and the benchmarks alike.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/api.h"
#include "lab/folder.h"
#include "lab/links/links.h"
#include "lab/objects.h"
#include "lab/process.h"
#include "lab/topology.h"

namespace penstock::lab {

// Called with one line when a stage of long work ends ("host agents started"), and with `done`
// false while it goes on ("agent 17 of 40").
using Progress = std::function<void(const std::string& text, bool done)>;

class Lab {
 public:
  // Makes everything of the topology and returns when all objects are applied. Objects are checked
  // before anything is started. What the server refuses all the same is kInvalidArgument with its
  // places, and then nothing is left unless `keep`; on any other failure the lab is left as it is
  // for a look, and `down` removes it.
  static Result<Lab> up(const Topology&, const Progress&, bool keep = false);
  // The lab of the topology's name if it is up already, of the same text and with all its programs;
  // none if there is no lab of that name. kAlreadyExists says what differs.
  static Result<std::optional<Lab>> already_up(const Topology&);
  // One that is up, or was until something died. kNotFound with the labs there are.
  static Result<Lab> attach(const std::string& name);
  static Status down(const std::string& name) { return Folder(name).remove(); }

  const Folder& folder() const { return folder_; }
  const Topology& topology() const { return topology_; }
  Links links() const { return Links(folder_, topology_); }
  // As administrator; a new connection.
  Result<cli::Api> api() const;
  Result<cli::Api> api(const std::string& token) const;
  // A new token of a user of the inventory.
  Result<std::string> token_of(const std::string& user) const;
  // The file of such a token, for commands that people type: nobody has to see the token itself.
  Result<std::string> token_file_of(const std::string& user) const;

  // Objects in order; a refusal names them.
  Status apply(cli::Json objects, std::chrono::milliseconds deadline = std::chrono::seconds(60),
               const Progress& = {}) const;
  Status apply_file(const std::string& path) const;

  std::vector<std::string> hosts() const;
  // Nodes by name, then VMs as "tenant/name" as far as the server answers.
  std::vector<std::string> nodes() const;
  // Namespace of a node: the router, the server, a host, a remote, or a VM as "tenant/name" (the
  // server knows on which host it is). kNotFound lists what there is.
  Result<ProcessSpec> enter(const std::string& node) const;

  // Of a host or system on the underlay, or of a VM as "tenant/name".
  Result<IpAddress> address_of(const std::string& node, Family) const;

  Status start_server() const;
  Status stop_server(bool at_once) const;
  Status start_host(const std::string& host) const;
  Status stop_host(const std::string& host, bool at_once) const;
  // A host, or "server"; by a clean stop or kill -9.
  Status restart(const std::string& program, bool at_once) const;

 private:
  Lab(Folder folder, Topology topology)
      : folder_(std::move(folder)), topology_(std::move(topology)) {}
  Status build(const Progress&) const;
  Status apply(const std::vector<Wanted>&, std::chrono::milliseconds deadline,
               const Progress&) const;
  Status remember() const;
  Status run_commands(const Progress&) const;
  Status wait_for_server() const;
  Status admit_hosts() const;
  Status start_agents(const Progress&) const;
  Status apply_objects(const Progress&) const;

  Folder folder_;
  Topology topology_;
};

}  // namespace penstock::lab
