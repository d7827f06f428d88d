// A running lab: up, down, and what can be asked of it. Used by the verbs, the demo, the scenario
// tests and the benchmarks alike.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/api.h"
#include "lab/folder.h"
#include "lab/process.h"
#include "lab/topology.h"

namespace penstock::lab {

// Called with one line when a stage of long work ends: "router, 2 physical networks".
using Progress = std::function<void(const std::string&)>;

class Lab {
 public:
  // Makes everything of the topology and returns when all objects are applied. On failure the lab
  // is left as it is for a look; `down` removes it.
  static Result<Lab> up(const Topology&, const Progress&);
  // One that is up. kNotFound with the labs there are.
  static Result<Lab> attach(const std::string& name);
  static Status down(const std::string& name) { return Folder(name).remove(); }

  const Folder& folder() const { return folder_; }
  // As administrator; a new connection.
  Result<cli::Api> api() const;
  Result<cli::Api> api(const std::string& token) const;

  // Objects in order, one request; a refusal names the object.
  Status apply(cli::Json objects,
               std::chrono::milliseconds deadline = std::chrono::seconds(60)) const;
  Status apply_file(const std::string& path) const;

  std::vector<std::string> hosts() const;
  // Namespace of a node: the router, the server, a host, a remote, or a VM as "tenant/name" (the
  // server knows on which host it is). kNotFound lists what there is.
  Result<ProcessSpec> enter(const std::string& node) const;

  Status start_server() const;
  Status stop_server(bool at_once) const;
  Status start_host(const std::string& host) const;
  Status stop_host(const std::string& host, bool at_once) const;

 private:
  explicit Lab(Folder folder) : folder_(std::move(folder)) {}
  Status wait_for_server() const;
  Status admit_hosts(const Topology&) const;
  Status apply_objects(const Topology&) const;

  Folder folder_;
};

}  // namespace penstock::lab
