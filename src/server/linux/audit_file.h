// The audit log as a file of JSON lines. At `audit_file_kib` it becomes PATH.1 (in place of the one
// before) and goes on in a new file.
//
// Threading. One thread writes: everything that has queued up with one write and one fdatasync, so
// requests that are answered at the same time share them. Durability. A line that was torn by a
// crash is cut off at the next start: its request was not answered.
#pragma once

#include <memory>
#include <string>

#include "base/runtime.h"
#include "server/audit_log.h"

namespace penstock {

// Readable by its owner only. Blocks; the folder must exist. The runtime must outlive the log.
Result<std::unique_ptr<AuditLog>> open_audit_file(Runtime&, const std::string& path);

}  // namespace penstock
