// What users of the simulated deployment do: one random request, made for the inventory as it is
// now. It goes through the same Api as HTTP and gRPC.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/sim_runtime.h"
#include "server/api.h"

namespace penstock::sim {

struct Answer {
  v1::WriteOutcome outcome;
  ObjectKey key;      // of what was written or deleted
  MessagePtr object;  // as answered; nullptr: deleted, or several
};

struct Operation {
  int number = 0;
  std::string user;
  std::string what;
  v1::WriteOptions options;
  // May be sent again and again: each time the same request.
  std::function<void(Api&, const std::string& secret, const v1::WriteOptions&,
                     std::function<void(Result<Answer>)>)>
      send;
  // The caller has no right to it: success would be a hole.
  bool forbidden = false;
};

// The users and the fixed part of the inventory.
//   admin; ta-acme, ta-bolt: tenant administrators; vo-acme, vo-bolt: owners of half of the VMs
inline const std::vector<std::string> kTenants{"acme", "bolt"};

Operation random_operation(SimRandom&, const Snapshot&, const std::vector<std::string>& hosts,
                           int number);

// Puts that furnish the deployment, in order.
std::vector<v1::Object> furniture(const std::vector<std::pair<std::string, std::string>>& hosts);

}  // namespace penstock::sim
