// A small HTTP server on loopback for tests of the command line: real sockets, answers by a
// function.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace penstock::cli {

struct ScriptedRequest {
  std::string method, target, authorization, body, content_type;
};
struct ScriptedAnswer {
  int status = 200;
  std::string body{};
  bool hang_up = false;      // close without an answer
  bool close_after = false;  // answer, then close, without saying so: an idle connection that dies
  bool chunked = false;      // body in chunks of some bytes, then the end
  int delay_ms = 0;
};

class ScriptedServer {
 public:
  using Script = std::function<ScriptedAnswer(const ScriptedRequest&)>;
  explicit ScriptedServer(Script);
  ~ScriptedServer();  // ends all connections

  std::string url() const;
  std::vector<ScriptedRequest> seen() const;
  int connections() const { return connections_; }

 private:
  void accept_loop();
  void serve(int fd);

  Script script_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  mutable std::mutex mutex_;
  std::vector<ScriptedRequest> seen_;
  std::vector<std::thread> workers_;
  std::thread acceptor_;
};

}  // namespace penstock::cli
