// The management server's logic, put together: what a program, a simulation or a test makes one of.
#pragma once

#include <memory>
#include <string>

#include "server/api.h"
#include "server/audit_log.h"

namespace penstock {

class Server {
 public:
  // Gets the secret of the first administrator before the user is stored. An error keeps the server
  // from starting.
  using FirstSecret = std::move_only_function<Status(const std::string& secret)>;

  Server(Runtime&, Log&, Store&, AuditLog&);
  ~Server();

  // Loads the inventory, makes the user `admin` on first start, then serves.
  void start(FirstSecret, std::move_only_function<void(Status)> done);

  Api& api();
  HostSessions& sessions();
  Engine& engine();

 private:
  void first_start(FirstSecret, std::move_only_function<void(Status)> done);

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace penstock
