// Watch streams: first what is there, then what changes, objects and status alike.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "penstock/v1/api.pb.h"
#include "server/catalog_watch.h"
#include "server/handlers/context.h"

namespace penstock {

class Watches {
 public:
  // false: the watcher is gone or too far behind; it gets nothing more.
  using Sink = std::move_only_function<bool(const v1::WatchEvent&)>;
  // The end of a watch that its reader did not ask for: token revoked, too slow.
  using Ended = std::move_only_function<void(Error)>;

  Watches(Runtime&, Engine&, const StatusBook&, Journal&);
  ~Watches();

  // The initial objects come within this call. revision > 0: what changed after it, from a history
  // of watch_history_max changes; when it is gone, one COMPACTED event. Answers an id for
  // cancel().
  Result<std::uint64_t> watch(std::string secret, const v1::WatchRequest&, Sink, Ended);
  void cancel(std::uint64_t id);
  std::size_t size() const { return watches_.size(); }

  void published(const Publication&);
  void settled();
  void progress(const std::string& host, const std::vector<std::string>* items);

 private:
  struct Watch;
  struct Past {  // one change
    std::int64_t revision;
    ObjectKey key;
    MessagePtr before, after;
  };

  ReadContext context_of(const Watch&) const;
  void tell_catalog(Watch&, v1::WatchEvent::Type, const v1::CatalogEntry&);
  void begin_catalog(Watch&, std::int64_t revision);
  void catalogs_settled();
  bool catalogs_changed_since(std::int64_t revision) const;
  bool still_good(Watch&);
  bool send(Watch&, v1::WatchEvent::Type, const ObjectKey&, const Message&, std::int64_t revision);
  void tell(Watch&, const Past&);
  void bookmark(Watch&, std::int64_t revision);
  void drop(std::uint64_t id, Error);
  void status_turn();
  void objects_of_host(const std::string& host, std::set<ObjectKey>& found) const;
  void objects_of_item(const std::string& item, std::set<ObjectKey>& found) const;
  bool watched(const Kind&) const;

  Runtime& runtime_;
  Engine& engine_;
  const StatusBook& status_;
  Journal& journal_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, std::unique_ptr<Watch>> watches_;
  std::deque<Past> history_;
  std::int64_t history_from_ = 0;  // changes after this revision are known
  std::set<ObjectKey> dirty_;      // status may be different
  bool turn_planned_ = false;
  bool identities_changed_ = false;
  CatalogChanges catalog_changes_;
};

}  // namespace penstock
