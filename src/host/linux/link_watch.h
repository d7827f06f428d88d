// Says that links of this program's network namespace came, went or changed (RTNLGRP_LINK).
//
// Threading: the strand's; notifications wait in the strand's own event loop.
#pragma once

#include <functional>
#include <memory>

#include "base/error.h"
#include "base/log.h"

namespace penstock {
class RealRuntime;
}

namespace penstock::host {

class LinkWatch {
 public:
  // The runtime and the log must outlive it. The first change is told at once, further ones within
  // `netlink_gather_ms` together; what is told is only "look again".
  static Result<LinkWatch> open(RealRuntime&, Log&);
  LinkWatch(LinkWatch&&) noexcept = default;
  ~LinkWatch();
  void on_change(std::function<void()>);  // nullptr ends it

 private:
  struct Listener;
  explicit LinkWatch(std::shared_ptr<Listener>);
  // Shared with the handlers that wait in the event loop: one that runs after our end finds it
  // closed.
  std::shared_ptr<Listener> listener_;
};

}  // namespace penstock::host
