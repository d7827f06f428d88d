#include "store/sim/sim_store.h"

#include <algorithm>
#include <utility>

#include "store/txn.h"

namespace penstock {

TxnOutcome SimDisk::apply(const Txn& txn, std::vector<WatchEvents>& events) {
  if (!txn.request_id.empty())
    if (const auto first = requests_.find(txn.request_id); first != requests_.end())
      return Committed{first->second};
  for (std::size_t i = 0; i < txn.compares.size(); ++i) {
    const auto found = state_.find(txn.compares[i].key);
    const auto is = found == state_.end() ? Revision{0} : found->second.mod_revision;
    if (is != txn.compares[i].mod_revision) return Conflict{i};
  }
  const Revision revision{latest_.value + 1};
  WatchEvents made{revision, {}};
  for (const auto& op : txn.ops) {
    const auto found = state_.find(key_of(op));
    if (const auto* put = std::get_if<Txn::Put>(&op)) {
      const auto created = found == state_.end() ? revision : found->second.create_revision;
      state_.insert_or_assign(put->key, KeyValue{put->key, put->value, created, revision});
      made.events.push_back({put->key, put->value, created, revision});
    } else if (found != state_.end()) {
      made.events.push_back({found->first, std::nullopt, Revision{0}, revision});
      state_.erase(found);
    }
  }
  if (made.events.empty()) return Committed{latest_};
  latest_ = revision;
  if (!txn.request_id.empty()) {
    requests_.emplace(txn.request_id, revision);
    request_of_.emplace(revision, txn.request_id);
  }
  log_.emplace(revision, made);
  events.push_back(std::move(made));
  return Committed{revision};
}

WatchHistory SimDisk::history(Revision from) const {
  WatchHistory history{latest_, compacted_, {}};
  for (auto it = log_.lower_bound(from); it != log_.end(); ++it)
    history.events.push_back(it->second);
  return history;
}

void SimDisk::compact(Revision revision) {
  compacted_ = std::max(compacted_, std::min(revision, Revision{latest_.value - 1}));
  log_.erase(log_.begin(), log_.upper_bound(compacted_));
  while (!request_of_.empty() && request_of_.begin()->first <= compacted_) {
    requests_.erase(request_of_.begin()->second);
    request_of_.erase(request_of_.begin());
  }
}

SimStore::SimStore(Runtime& runtime, SimDisk& disk) : runtime_(runtime), disk_(disk) {}

SimStore::~SimStore() {
  for (const auto timer : timers_) runtime_.cancel(timer);
}

void SimStore::commit(std::vector<Txn> batch, CommitDone done) {
  CommitJob job{std::move(batch), {}, {}, std::move(done)};
  for (const auto& txn : job.batch) {
    auto valid = validate(txn, runtime_.tunables());
    job.refused.push_back(!valid);
    job.outcomes.push_back(valid ? TxnOutcome() : TxnOutcome(std::move(valid).error()));
  }
  queue_.push_back(std::move(job));
  if (!writing_) start_group();
}

// The medium takes one group at a time; what comes meanwhile makes the next one.
void SimStore::start_group() {
  writing_ = true;
  const auto& faults = disk_.faults;
  auto time = between(faults.commit_min, faults.commit_max);
  if (chance(faults.slow)) time += faults.slow_time;
  // Durable at some moment, acknowledged at a later one: a crash between the two is where servers
  // go wrong.
  const auto until_durable = between(Duration::zero(), time);
  after(until_durable, [this, rest = time - until_durable] {
    auto group = std::exchange(queue_, {});
    after(rest, [this] {
      writing_ = false;
      if (!queue_.empty()) start_group();
    });
    write(std::move(group));
  });
}

void SimStore::write(Group group) {
  const auto& faults = disk_.faults;
  const bool unknown = chance(faults.unknown);
  const bool happens = !unknown || chance(0.5);
  std::vector<WatchEvents> events;
  for (auto& job : group)
    for (std::size_t i = 0; i < job.batch.size(); ++i) {
      if (job.refused[i]) continue;
      auto& outcome = job.outcomes[i];
      if (faults.unavailable)
        outcome = Error{Code::kUnavailable, "the simulated medium is away", {}, {}};
      else if (faults.disk_full)
        outcome = Error{Code::kResourceExhausted, "the simulated disk is full", {}, {}};
      else if (happens)
        outcome = disk_.apply(job.batch[i], events);
      if (unknown) outcome = Unknown{{Code::kUnavailable, "the simulated medium failed", {}, {}}};
    }
  disk_.compact(Revision{disk_.latest().value - runtime_.tunables().store_history_revisions});
  const bool breaks = chance(faults.watch_broken);
  const bool events_first = chance(0.5);
  answer(
      [this, group = std::move(group), events = std::move(events), breaks, events_first]() mutable {
        const auto tell_watches = [&] {
          hub_.committed(events);
          if (breaks) break_watches();
        };
        if (events_first) tell_watches();
        for (auto& job : group) job.done(std::move(job.outcomes));
        if (!events_first) tell_watches();
      });
}

void SimStore::read(std::string key, ReadDone done) {
  answer([this, key = std::move(key), done = std::move(done)]() mutable {
    if (disk_.faults.unavailable)
      return done(fail(Code::kUnavailable, "the simulated medium is away"));
    const auto found = disk_.state_.find(key);
    done(ReadAnswer{disk_.latest_,
                    found == disk_.state_.end() ? std::nullopt : std::optional(found->second)});
  });
}

void SimStore::scan(std::string prefix, ScanDone done) {
  answer([this, prefix = std::move(prefix), done = std::move(done)]() mutable {
    if (disk_.faults.unavailable)
      return done(fail(Code::kUnavailable, "the simulated medium is away"));
    ScanAnswer answer{disk_.latest_, {}};
    for (auto it = disk_.state_.lower_bound(prefix);
         it != disk_.state_.end() && it->first.starts_with(prefix); ++it)
      answer.found.push_back(it->second);
    done(std::move(answer));
  });
}

WatchId SimStore::watch(std::string prefix, Revision from, WatchSink sink) {
  const auto id = hub_.add(std::move(prefix), from, std::move(sink));
  // Read when the request reaches the medium, told when the answer comes back; commits between the
  // two are told after it, because answers keep their order.
  after(between(Duration::zero(), disk_.faults.commit_min), [this, id, from] {
    if (disk_.faults.unavailable) {
      answer([this, id] {
        hub_.end(id, WatchBroken{{Code::kUnavailable, "the simulated medium is away", {}, {}}});
      });
      return;
    }
    answer([this, id, history = disk_.history(std::max(from, Revision{1}))] {
      hub_.caught_up(id, history);
    });
  });
  return id;
}

void SimStore::break_watches() {
  hub_.end_all(WatchBroken{{Code::kUnavailable, "the simulated connection broke", {}, {}}});
}

bool SimStore::chance(double probability) {
  return probability > 0 && static_cast<double>(runtime_.random() >> 11) * 0x1p-53 < probability;
}

Duration SimStore::between(Duration low, Duration high) {
  if (high <= low) return low;
  return low + Duration(runtime_.random() % static_cast<std::uint64_t>((high - low).count() + 1));
}

void SimStore::answer(Task task) {
  const auto delay = between(std::chrono::microseconds(1), disk_.faults.commit_min);
  last_answer_ = std::max(last_answer_, runtime_.now() + delay);
  after(last_answer_ - runtime_.now(), std::move(task));
}

void SimStore::after(Duration delay, Task task) {
  // The timer's id is known only after after() returned.
  auto id = std::make_shared<TimerId>();
  *id = runtime_.after(delay, [this, id, task = std::move(task)]() mutable {
    timers_.erase(*id);
    task();
  });
  timers_.insert(*id);
}

}  // namespace penstock
