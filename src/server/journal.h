// What happened lately, in memory only: events of objects, and the flows that rules log. Both are
// kinds of objects that are listed and watched like any other, and are never in a snapshot.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/runtime.h"
#include "model/snapshot.h"
#include "penstock/v1/host.pb.h"

namespace penstock {

// A ring of the newest objects of one kind.
class Recent {
 public:
  // Names are `letter` and a number; `most`: how many are kept.
  Recent(Runtime& runtime, const Kind& kind, char letter, std::int64_t Tunables::*most)
      : runtime_(runtime), kind_(kind), letter_(letter), most_(most) {}

  // Names it, keeps it, tells who follows.
  void add(std::unique_ptr<Message>);

  using Visit = std::function<bool(const MessagePtr&)>;           // false: stop
  void each(const Visit& visit) const { each_after({}, visit); }  // oldest first
  // From the first object after the one of that name, whether it is there or not.
  void each_after(std::string_view name, const Visit&) const;
  MessagePtr find(std::string_view name) const;  // nullptr: gone, or never was
  std::size_t size() const { return objects_.size(); }

  std::function<void(const MessagePtr&)> on_added;

 private:
  std::uint64_t number_of(std::string_view name) const;
  std::uint64_t first() const { return next_ - objects_.size(); }
  MessagePtr object(std::uint64_t number) const;

  Runtime& runtime_;
  const Kind& kind_;
  char letter_;
  std::int64_t Tunables::*most_;
  // Serialized: a message of its own takes seven times the room.
  std::deque<std::string> objects_;
  std::uint64_t next_ = 1;
};

class Journal {
 public:
  explicit Journal(Runtime& runtime);

  void event(v1::Event::Type type, std::string_view reason, const ObjectKey& about,
             std::string message, std::string_view actor, std::int64_t revision);
  // What a host logged, with the names of this snapshot. Records of ports it does not know are
  // dropped.
  void flows(const Snapshot&, const std::string& host, const v1::FlowLog&);

  // nullptr: the kind is none of the journal's.
  const Recent* of(const Kind&) const;
  // The tenant that an entry is about; empty: none.
  static std::string_view tenant_of(const Message&);

  // Of every kind.
  void on_added(std::function<void(const MessagePtr&)>);

 private:
  Runtime& runtime_;
  Recent events_, flows_;
};

}  // namespace penstock
