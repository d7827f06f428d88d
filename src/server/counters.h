// Counters of a profile or a VM: the hosts concerned are asked, and what they say is added up. A
// host that is away or silent makes the answer incomplete, not an error. Numbers are asked for by
// port, and only for ports of VMs that the caller may see.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/runtime.h"
#include "compile/intent.h"
#include "server/engine.h"
#include "server/identity.h"
#include "server/sessions.h"

namespace penstock {

class Counters {
 public:
  using Done = std::move_only_function<void(Result<v1::CountersResponse>)>;

  // All of them must outlive it.
  Counters(Runtime&, Engine&, HostSessions&, Compiler&);
  ~Counters();

  // kNotFound: no such profile or VM that the caller may see.
  void ask(const Identity&, const v1::CountersRequest&, Done);
  void reported(const std::string& host, const v1::CountersReport&);

 private:
  struct Question;
  using QuestionPtr = std::shared_ptr<Question>;

  Result<QuestionPtr> plan(const Identity&, const v1::CountersRequest&) const;
  Status plan_profile(Question&, const v1::CountersRequest&) const;
  Status plan_vm(Question&, const v1::CountersRequest&) const;
  void take(Question&, const v1::CountersReport&) const;
  void finish(const QuestionPtr&);

  Runtime& runtime_;
  Engine& engine_;
  HostSessions& sessions_;
  Compiler& compiler_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, QuestionPtr> open_;
};

}  // namespace penstock
