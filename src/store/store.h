// The store: an ordered map of keys to values in which every change has a number. It is etcd's
// model, because etcd is one of the backends: what this page promises is what etcd can keep, and
// every backend passes the same conformance suite (store/conformance.h).
//
// Revisions. One counter for the whole store. A transaction that changes something takes the next
// revision, without gaps; one that changes nothing (no operations, or only deletes of absent keys)
// takes none. A put always changes, also when the value is what it was. A fresh store's revision is
// the backend's choice (0, or 1 with etcd).
//
// Threading. All members are called on the strand of the Runtime the backend was made with, and all
// callbacks run there, never within the call that caused them. Callbacks may call any member,
// cancel() of their own watch too, but may not destroy the store. A callback is called exactly once
// (a watch: until its end), unless the store is destroyed first: then it is dropped without a call,
// and what was handed to commit() is committed or not, as after a crash.
//
// Order. Transactions commit in the order in which they were handed over, within a batch and
// between batches. read() and scan() see everything that was acknowledged before they were called,
// and may see more. Between done() of a commit and the arrival of its events at a watch there is no
// order: either may come first.
//
// Time. Nothing here has a timeout. A backend whose medium is away answers kUnavailable or Unknown,
// never silence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/strong.h"

namespace penstock {

using Revision = Strong<struct RevisionTag, std::int64_t>;

// Compares, then operations: all of them or none.
//
// Limits, checked before anything else, kInvalidArgument: at most store_txn_max_ops operations and
// as many compares; at most store_txn_max_bytes of keys, values and request id together; no key
// twice among the operations; no empty key, and none that begins with a NUL byte (those belong to
// the backends). Keys and values are bytes.
struct Txn {
  struct Compare {
    std::string key;
    Revision mod_revision;  // what the key's must be; 0: the key must be absent
    bool operator==(const Compare&) const = default;
  };
  struct Put {
    std::string key, value;
    bool operator==(const Put&) const = default;
  };
  struct Delete {  // of an absent key: nothing happens, and no event
    std::string key;
    bool operator==(const Delete&) const = default;
  };
  using Op = std::variant<Put, Delete>;

  std::vector<Compare> compares;
  std::vector<Op> ops;
  // Makes a retry safe. When a transaction with this id has committed, handing over another one
  // with the same id does nothing and answers with the first one's revision, whatever its content
  // now is: a caller that plans again on newer state is still the same request. What is remembered
  // is exactly what took a revision; a conflict, an error or a commit that changed nothing had no
  // effect, so its repetition is judged anew. Ids are remembered at least as long as the history of
  // their revision, across restarts. Empty: no such protection.
  std::string request_id;
};

// Durable: survives kill -9 and loss of power from the moment it is answered.
struct Committed {
  Revision revision;  // its own; if it changed nothing: the store's at that point
  bool operator==(const Committed&) const = default;
};
// Nothing happened.
struct Conflict {
  std::size_t compare = 0;  // index of the first compare that did not hold
  bool operator==(const Conflict&) const = default;
};
// The medium failed at the one moment when it cannot be known whether the transaction is in. To
// find out: hand it over again with the same request id, or read. No other transaction is ever seen
// between its parts.
struct Unknown {
  Error error;
  bool operator==(const Unknown&) const = default;
};
// An Error as outcome: nothing happened. kInvalidArgument: a limit above. kResourceExhausted: disk
// full; later commits work when there is space again. kUnavailable: the medium is away; retry.
using TxnOutcome = std::variant<Committed, Conflict, Unknown, Error>;

struct KeyValue {
  std::string key, value;
  Revision create_revision;  // when the key came into being (this time: a deleted key starts anew)
  Revision mod_revision;     // of the last put
  bool operator==(const KeyValue&) const = default;
};
struct ReadAnswer {
  Revision revision;  // of the store when it was read
  std::optional<KeyValue> found;
};
struct ScanAnswer {
  Revision revision;            // of the store when it was read, one instant for the whole answer
  std::vector<KeyValue> found;  // ordered by key, bytewise
};

// One key changed.
struct KeyEvent {
  std::string key;
  std::optional<std::string> value;  // none: the key was deleted (etcd's tombstone)
  Revision create_revision;          // 0 when deleted
  Revision mod_revision;             // of the change
  bool operator==(const KeyEvent&) const = default;
};

// All matching events of one revision, in the order of the transaction's operations: never split
// over two updates. Revisions rise from update to update.
struct WatchEvents {
  Revision revision;
  std::vector<KeyEvent> events;  // never empty
  bool operator==(const WatchEvents&) const = default;
};
// Everything up to and including this revision has been delivered. Comes once when a watch has
// caught up with what was committed before watch() was called, and later whenever the backend
// likes. Never falls.
struct WatchBookmark {
  Revision revision;
  bool operator==(const WatchBookmark&) const = default;
};
// The end: history up to and including `compacted` is gone, so this watch would have a hole. scan()
// and watch anew.
struct WatchCompacted {
  Revision compacted;
  bool operator==(const WatchCompacted&) const = default;
};
// The end, for any other reason (after an Unknown, connection lost). Watch anew from the last
// revision delivered + 1.
struct WatchBroken {
  Error error;
  bool operator==(const WatchBroken&) const = default;
};
using WatchUpdate = std::variant<WatchEvents, WatchBookmark, WatchCompacted, WatchBroken>;
using WatchSink = std::move_only_function<void(const WatchUpdate&)>;
using WatchId = Strong<struct WatchIdTag, std::uint64_t>;

class Store {
 public:
  using CommitDone = std::move_only_function<void(std::vector<TxnOutcome>)>;
  using ReadDone = std::move_only_function<void(Result<ReadAnswer>)>;
  using ScanDone = std::move_only_function<void(Result<ScanAnswer>)>;

  // See "Threading". Open watches end silently.
  virtual ~Store() = default;

  // Random 128 bits as 32 hex digits, made when the store was created and never changed: a store
  // restored from nothing is another store, and its revisions mean nothing to those who knew the
  // old one.
  virtual const std::string& incarnation() const = 0;

  // One outcome for each transaction, in order. Each is atomic on its own and has its own revision;
  // one that fails does not keep the next from being tried. What is handed over together, or while
  // the medium is busy, is made durable together where the backend can: a batch costs about as much
  // as one transaction. An empty batch is answered with an empty vector.
  virtual void commit(std::vector<Txn> batch, CommitDone done) = 0;

  // The latest state. kUnavailable: the medium is away; kInternal: it is damaged.
  virtual void read(std::string key, ReadDone done) = 0;
  // All keys that begin with `prefix` (empty: all keys), in one answer of any size.
  virtual void scan(std::string prefix, ScanDone done) = 0;

  // Every event of keys that begin with `prefix`, from revision `from` on (that one included; below
  // 1 means 1; it may lie in the future), first out of history, then as they are committed. After
  // scan() answered revision r, watch from r + 1 misses nothing. At least the last
  // store_history_revisions revisions are history.
  virtual WatchId watch(std::string prefix, Revision from, WatchSink sink) = 0;
  // No update comes after this. An id that has ended or never was: does nothing.
  virtual void cancel(WatchId) = 0;
};

}  // namespace penstock
