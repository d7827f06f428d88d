// Why something is as it is, in lines for people: the answer first, then what is desired, what is
// applied, what is waited for; "you are not protected" is said aloud.
#pragma once

#include <string>

#include "penstock/v1/api.pb.h"
#include "server/handlers/context.h"

namespace penstock {

class Explainer {
 public:
  Explainer(const ReadContext& context, const HostSessions& sessions, Compiler& compiler)
      : context_(context), sessions_(sessions), compiler_(compiler) {}

  v1::ExplainResponse explain(const ObjectKey&, const Message& object);

 private:
  using Line = v1::ExplainResponse::Line;

  void vm(const ObjectKey&, const v1::VirtualMachine&, v1::ExplainResponse&);
  void nic(const v1::VirtualMachine&, const v1::Nic&, v1::ExplainResponse&, int& applied,
           int& steps);
  void approvals(const v1::VirtualMachine&, v1::ExplainResponse&);
  void enablement(const ObjectKey&, const v1::Enablement&, v1::ExplainResponse&);
  void profile(const ObjectKey&, const v1::ServiceProfile&, v1::ExplainResponse&);
  void host(const ObjectKey&, const v1::Host&, v1::ExplainResponse&);
  void other(const ObjectKey&, v1::ExplainResponse&);
  // One line a host of the rollout.
  v1::Rollout hosts(const ObjectKey&, v1::ExplainResponse&);
  std::string host_text(const std::string& host) const;  // hidden from tenants

  const ReadContext& context_;
  const HostSessions& sessions_;
  Compiler& compiler_;
};

}  // namespace penstock
