// Where audit records go to stay: one line each, in the order of the calls.
//
// Threading: called on the strand; `done` runs on the strand, never within the call.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "penstock/v1/audit.pb.h"

namespace penstock {

using AuditRecordPtr = std::shared_ptr<const v1::AuditRecord>;

class AuditLog {
 public:
  virtual ~AuditLog() = default;
  using Done = std::move_only_function<void(Status)>;

  // OK means durable. On an error (kResourceExhausted: disk full) none of these records is in the
  // log, and the same call may be made again.
  virtual void append(std::vector<AuditRecordPtr>, Done) = 0;
  // The newest that are in the log, oldest first. May block: for the start of a program only.
  virtual Result<std::vector<AuditRecordPtr>> newest(std::size_t most) = 0;
};

}  // namespace penstock
