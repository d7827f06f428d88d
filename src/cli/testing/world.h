// A terminal in front of a scripted server, and objects to answer with.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "cli/json.h"
#include "cli/testing/harness.h"
#include "cli/testing/scripted_server.h"

namespace penstock::cli {

inline ScriptedAnswer failure(int status, const Json& body) {
  return {.status = status, .body = body.dump()};
}

// Answers by "METHOD target-without-requestId"; anything else is a 404 of ours.
class World {
 public:
  World() : server_([this](const ScriptedRequest& request) { return answer(request); }) {
    terminal.env["PENSTOCK_SERVER"] = server_.url();
    terminal.env["PENSTOCK_TOKEN"] = "secret";
  }
  void on(const std::string& what, ScriptedAnswer answer) { answers_[what] = std::move(answer); }
  void on(const std::string& what, const Json& body) {
    on(what, ScriptedAnswer{.body = body.dump()});
  }
  std::vector<ScriptedRequest> seen() const { return server_.seen(); }
  int connections() const { return server_.connections(); }
  std::string url() const { return server_.url(); }
  Json body_of(std::size_t request) const { return Json::parse(seen().at(request).body); }

  Terminal terminal;

 private:
  ScriptedAnswer answer(const ScriptedRequest& request) {
    std::string target = request.target;
    if (const auto id = target.find("requestId="); id != std::string::npos) {
      const auto end = target.find('&', id);
      target.erase(id, end == std::string::npos ? end : end - id + 1);
      if (target.ends_with('?') || target.ends_with('&')) target.pop_back();
    }
    const auto found = answers_.find(request.method + " " + target);
    if (found != answers_.end()) return found->second;
    return failure(
        404, {{"code", "not_found"}, {"message", "nothing at " + request.method + " " + target}});
  }
  std::map<std::string, ScriptedAnswer> answers_;
  ScriptedServer server_;
};

inline Json vm(const std::string& tenant, const std::string& name, const Json& status) {
  return {{"kind", "VirtualMachine"},
          {"metadata", {{"name", name}, {"tenant", tenant}, {"createdAt", "2020-01-01T00:00:00Z"}}},
          {"spec", {{"owner", "user:ann"}}},
          {"status", status}};
}
inline const Json kReady =
    Json::parse(R"({"host":"h1","state":"running","addresses":["10.0.1.5","fd00::5"],
  "conditions":[{"type":"Ready","status":"TRUE"}],"rollout":{"hosts":1,"applied":1,"revision":"5"}})");
inline const Json kStuck = Json::parse(R"({"state":"starting","conditions":[
  {"type":"Ready","status":"FALSE","reason":"NotApplied","message":"h2: map full"}],
  "rollout":{"hosts":2,"applied":1,"revision":"7","waiting":[{"host":"h2","state":"FAILED","message":"map full"}]}})");

class Folder {
 public:
  Folder() {
    std::string pattern = "/tmp/penstock-cli-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return (path_ / name).string();
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace penstock::cli
