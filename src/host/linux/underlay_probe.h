// Pings other hosts' tunnel ends over the underlay: an echo request of full size that may not be
// fragmented, and a small one that tells "too small a path" from "no path".
//
// Threading: the strand's; sockets are waited for there.
#pragma once

#include <functional>
#include <memory>

#include "base/real_runtime.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

class UnderlayProbe {
 public:
  using Done = std::function<void(v1::ProbeReport)>;

  // From the network namespace of the calling thread. Needs CAP_NET_RAW.
  explicit UnderlayProbe(RealRuntime&);
  ~UnderlayProbe();

  // Answers once, at the latest after probe_deadline_ms. At most 256 ends; the rest is left out.
  void probe(const v1::ProbeOrder&, Done);

 private:
  struct Run;
  RealRuntime& runtime_;
  std::vector<std::shared_ptr<Run>> runs_;
};

}  // namespace penstock::host
