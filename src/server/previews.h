// What a change would do to traffic, before anybody does it: which hosts and ports it touches, and,
// asked of the hosts (host/preview.h), which live flows it would cut. A host that is away or silent
// makes the answer incomplete, never a failure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/runtime.h"
#include "server/identity.h"
#include "server/sessions.h"

namespace penstock {

class Previews {
 public:
  using Done = std::move_only_function<void(v1::Effect)>;

  // All of them must outlive it.
  Previews(Runtime&, Compiler&, HostSessions&);
  ~Previews();

  // Of the edits that lead from `before` to `after`. Answers within the call when no host needs to
  // be asked, else at the last answer or the deadline. What the caller may not know is left out.
  void preview(const Identity&, Snapshot before, Snapshot after, std::span<const Edit>, Done);
  void reported(const std::string& host, const v1::PreviewReport&);

 private:
  struct Run;
  void finish(std::uint64_t id);

  Runtime& runtime_;
  Compiler& compiler_;
  HostSessions& sessions_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, std::unique_ptr<Run>> runs_;
};

}  // namespace penstock
