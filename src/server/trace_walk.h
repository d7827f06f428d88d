// One trace under way.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "server/traces.h"

namespace penstock {

struct Traces::Walk {
  std::uint64_t id = 0;
  Identity who;
  Snapshot snapshot;
  v1::TraceRequest request;
  Done done;
  v1::Trace trace;
  std::string origin_host;
  std::uint64_t origin_port = 0;
  std::shared_ptr<const v1::VirtualNetwork> network;

  Phase phase = Phase::kForward;
  std::string waiting_for;                   // the host
  std::map<std::string, std::string> flows;  // entries made so far, by host
  std::optional<TimerId> deadline;
  Duration limit{};

  // Of a live one: who watches, and what was seen first each way, by the host that saw it.
  struct Live {
    std::string far_host;  // empty: the destination is no NIC of the network
    std::uint64_t far_port = 0;
    std::map<std::string, std::string> failed;  // why a host does not watch
    std::map<std::string, v1::TraceReport> forward, reply;
    std::optional<TimerId> grace;
  };
  std::optional<Live> live;

  google::protobuf::RepeatedPtrField<v1::TraceStep>& steps() {
    return phase == Phase::kForward ? *trace.mutable_steps()
                                    : *trace.mutable_reply()->mutable_steps();
  }
  v1::TraceStep& add(v1::TraceStep step, const std::string& host) {
    auto& all = steps();
    step.set_seq(all.size() + 1);
    step.set_host(host);
    return *all.Add() = std::move(step);
  }
  // Sets the same fields of the trace or of its reply.
  template <typename F>
  void set(F&& f) {
    if (phase == Phase::kForward)
      f(trace);
    else
      f(*trace.mutable_reply());
  }
};

}  // namespace penstock
