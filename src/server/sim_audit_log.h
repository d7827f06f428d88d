// The audit log of a simulated server. The paper outlives crashes of the program; what was not done
// when it crashed is on it or not, by the dice.
#pragma once

#include <algorithm>

#include "base/runtime.h"
#include "server/audit_log.h"

namespace penstock {

struct SimAuditPaper {
  std::vector<AuditRecordPtr> records;
  bool full = false;             // nothing can be appended
  Duration write_time{200'000};  // from the call to done
};

class SimAuditLog final : public AuditLog {
 public:
  SimAuditLog(Runtime& runtime, SimAuditPaper& paper) : runtime_(runtime), paper_(paper) {}

  void append(std::vector<AuditRecordPtr> records, Done done) override {
    const bool early = runtime_.random() & 1;
    const auto put = [this](const std::vector<AuditRecordPtr>& more) {
      paper_.records.insert(paper_.records.end(), more.begin(), more.end());
    };
    if (paper_.full) {
      runtime_.post([done = std::move(done)]() mutable {
        done(fail(Code::kResourceExhausted, "write the audit log: No space left on device"));
      });
      return;
    }
    if (early) put(records);
    runtime_.after(paper_.write_time,
                   [early, put, records = std::move(records), done = std::move(done)]() mutable {
                     if (!early) put(records);
                     done({});
                   });
  }

  Result<std::vector<AuditRecordPtr>> newest(std::size_t most) override {
    const auto& all = paper_.records;
    return std::vector<AuditRecordPtr>(
        all.end() - static_cast<std::ptrdiff_t>(std::min(most, all.size())), all.end());
  }

 private:
  Runtime& runtime_;
  SimAuditPaper& paper_;
};

}  // namespace penstock
