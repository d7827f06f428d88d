// A lab's folder, /run/penstock/lab/<name>: all there is to know about a lab that runs. Whatever a
// lab makes (namespaces, mounts, processes, files) is found from its folder alone, so that `down`
// needs no topology and works after any crash.
//
//   topology.yaml        the file it was made from        pids/<program>   processes of the lab
//   netns/<node>         bound network namespaces         logs/<program>   what they said
//   hosts/<host>/        run, state, bpf (bpffs) of its penstock-hostd
//   server/              data of penstockd                server.sock      its HTTP interface
//   links.json           impaired links                   relay.sock       of the slow ones
//   pids/up              the `up` that is building it     whole            it got to the end
//   tokens/<user>        of users, for their commands     layout           number of this
//   arrangement
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::lab {

class Folder {
 public:
  // Does not look at the disk.
  explicit Folder(const std::string& lab);
  static std::vector<std::string> all_labs();

  const std::string& lab() const { return lab_; }
  // False also for what cannot be a lab's name, so that nothing above or beside labs is ever
  // removed.
  bool exists() const;
  // Made by a program that arranges these folders differently; `remove` works all the same.
  bool of_another_version() const;
  // Makes the folder, names this process as the one that builds the lab, and mounts the folder on
  // itself, shared, so that namespaces which a host's daemon binds below it are seen from outside
  // too. kAlreadyExists: a lab of this name is up, or was not taken down.
  Status create() const;
  // Ends the lab's processes, lets its namespaces go, unmounts, deletes. Can be interrupted and
  // called again; a lab that does not exist is no error.
  Status remove() const;
  // While `up` runs; afterwards it says `built`.
  bool building() const { return running_pid(kBuilder) != 0; }
  void built() const;
  // What there is to remove: "7 processes, 5 namespaces, 3 mounts".
  std::string inventory() const;
  // No process of its programs runs and nobody builds it.
  bool dead() const;

  std::string path(const std::string& below) const { return root_ + "/" + below; }
  std::string netns(const std::string& node) const { return path("netns/" + node); }
  std::string host(const std::string& name) const { return path("hosts/" + name); }
  // The namespace of a VM ("acme/web-1") on a host, as its driver binds it.
  std::string instance_netns(const std::string& host, const std::string& vm) const;
  std::string server_url() const { return "unix:" + path("server.sock"); }
  std::string admin_token_file() const { return path("server/admin.token"); }

  Status write(const std::string& below, const std::string& text) const;
  // The same, for its owner's eyes only.
  Status write_secret(const std::string& below, const std::string& text) const;
  Result<std::string> read(const std::string& below) const;

  // Every network namespace bound below the folder.
  std::vector<std::string> bound_namespaces() const;
  // Pid of a program of the lab, if it runs: the file names pid and start time, so that a pid given
  // to somebody else since is never taken for ours.
  int running_pid(const std::string& program) const;
  Status note_pid(const std::string& program, int pid) const;
  std::vector<std::string> programs() const;

 private:
  static constexpr const char* kBuilder = "up";

  std::vector<int> processes() const;
  Status write_as(const std::string& below, const std::string& text, unsigned mode) const;

  std::string lab_, root_;
};

}  // namespace penstock::lab
