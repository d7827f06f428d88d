// The store on an SQLite file: the default of penstockd.
//
// Threading. One writer thread owns the file. It takes everything that has queued up, commits it as
// one SQLite transaction (one fsync: group commit), answers with post_from_any_thread, then serves
// the reads that were queued. Performance. sqlite_store_bench measures it. The write-ahead log is
// moved into the main file when the store has been idle for store_checkpoint_idle_ms, so that
// hardly any commit pays for it. Durability. WAL with synchronous=FULL: what was answered survives
// kill -9 and loss of power.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/runtime.h"
#include "store/store.h"

namespace penstock {

// Blocks while it opens or creates the file, so call it before the strand runs. Beside `path` there
// will be `path`-wal and `path`.lock; the directory must exist. Runtime and log must outlive the
// store. kFailedPrecondition: another server holds it (named by pid), the file is another program's
// or of a newer schema, or it cannot be written. kInternal: the file is damaged. Nothing is changed
// then.
//
// kNew: what the file holds begins another life, under another incarnation: for a file that was put
// back from a backup (docs/adr/0005). It is durable when this returns.
enum class StoreLife { kSame, kNew };
Result<std::unique_ptr<Store>> open_sqlite_store(Runtime&, Log&, const std::string& path,
                                                 StoreLife = StoreLife::kSame);

}  // namespace penstock
