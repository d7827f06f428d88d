#include "server/engine.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>

#include "base/ensure.h"
#include "server/snapshot_diff.h"

namespace penstock {
namespace {

constexpr std::string_view kEpochKey = "/penstock/epoch";
constexpr std::string_view kEverything = "/penstock/";

}  // namespace

struct Engine::Item {
  Plan plan;
  std::optional<Result<ItemOutcome>> outcome;
  // Of the current batch:
  std::vector<std::size_t> steps;  // transactions that hold its edits
  std::size_t rests_on = 0;  // transactions before it: its plan is true only if they came to pass
  std::optional<Result<ItemOutcome>> foreseen;
};

struct Engine::Pending {
  Request request;
  std::vector<Item> items;
  bool finished() const {
    return std::ranges::all_of(items, [](const Item& item) { return item.outcome.has_value(); });
  }
};

namespace {

struct Row {
  std::string key, value;
  std::size_t bytes() const { return key.size() + value.size(); }
};

}  // namespace

struct Engine::Step {
  const Pending* of = nullptr;
  Txn txn;
  std::size_t bytes = 0;
  std::vector<Edit> edits;                   // as many as txn.ops
  std::map<std::string, std::size_t> place;  // key -> index in both
  Snapshot before, after;
  std::int64_t revision = 0;  // foreseen
  std::optional<TxnOutcome> outcome;

  void put(const Edit& edit, Row row) {
    bytes += row.bytes();
    const auto [entry, fresh] = place.emplace(row.key, edits.size());
    if (fresh) {
      edits.emplace_back();
      txn.ops.emplace_back();
    }
    edits[entry->second] = edit;
    auto& op = txn.ops[entry->second];
    if (edit.is_erase())
      op = Txn::Delete{std::move(row.key)};
    else
      op = Txn::Put{std::move(row.key), std::move(row.value)};
  }
  // The trace it leaves: what the next transaction compares.
  Txn::Compare witness() const {
    const auto& first = edits.front();
    return {first.store_key(), Revision{first.is_erase() ? 0 : revision}};
  }
};

struct Engine::Batch {
  std::vector<std::shared_ptr<Pending>> requests;
  std::deque<Step> steps;
  Snapshot working;
};

Engine::Engine(Runtime& runtime, Log& log, Store& store)
    : runtime_(runtime), log_(log), store_(store) {}

v1::Position Engine::position() const {
  v1::Position position;
  position.set_incarnation(store_.incarnation());
  position.set_revision(head_.revision());
  position.set_epoch(epoch_);
  return position;
}

std::string Engine::fresh_id() {
  return fmt::format("~{:016x}{:016x}", runtime_.random(), runtime_.random());
}

// --- start and reload

void Engine::start(std::move_only_function<void(Status)> done) {
  store_.scan(std::string(kEverything),
              [this, done = std::move(done)](Result<ScanAnswer> answer) mutable {
                loaded(std::move(answer), std::move(done));
              });
}

namespace {

Result<std::int64_t> epoch_in(const std::vector<KeyValue>& found, Revision* revision) {
  const auto entry = std::ranges::find(found, kEpochKey, &KeyValue::key);
  if (entry == found.end()) return 0;
  *revision = entry->mod_revision;
  std::int64_t epoch = 0;
  const auto& text = entry->value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), epoch);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::kInternal, "the epoch in the store is not a number");
  return epoch;
}

Result<Snapshot> snapshot_of(ScanAnswer&& answer, const std::string& incarnation) {
  std::vector<Snapshot::Stored> stored;
  stored.reserve(answer.found.size());
  for (auto& entry : answer.found)
    if (entry.key.starts_with(kStorePrefix))
      stored.push_back({std::move(entry.key), std::move(entry.value), entry.mod_revision.value});
  return Snapshot::load(stored, answer.revision.value, incarnation);
}

}  // namespace

void Engine::loaded(Result<ScanAnswer> answer, std::move_only_function<void(Status)> done) {
  auto give_up = [&](Error error) {
    phase_ = Phase::kDeposed;
    auto whole = std::move(error).in("load the inventory");
    refuse_all(whole);
    done(std::unexpected(std::move(whole)));
  };
  if (!answer) return give_up(std::move(answer).error());
  auto epoch = epoch_in(answer->found, &epoch_revision_);
  if (!epoch) return give_up(std::move(epoch).error());
  auto snapshot = snapshot_of(std::move(*answer), store_.incarnation());
  if (!snapshot) return give_up(std::move(snapshot).error());

  Txn raise;
  raise.compares.push_back({std::string(kEpochKey), epoch_revision_});
  raise.ops.push_back(Txn::Put{std::string(kEpochKey), std::to_string(*epoch + 1)});
  raise.request_id = fresh_id();
  std::vector<Txn> batch{std::move(raise)};
  store_.commit(
      std::move(batch), [this, snapshot = std::move(*snapshot), epoch = *epoch + 1,
                         done = std::move(done)](std::vector<TxnOutcome> outcomes) mutable {
        if (const auto* committed = std::get_if<Committed>(&outcomes.at(0))) {
          epoch_ = epoch;
          epoch_revision_ = committed->revision;
          witness_ = {std::string(kEpochKey), epoch_revision_};
          head_ = snapshot.with({}, committed->revision.value);
          phase_ = Phase::kServing;
          done({});
          return pump();
        }
        if (const auto* error = std::get_if<Error>(&outcomes[0]))
          if (!retryable(error->code)) {
            phase_ = Phase::kDeposed;
            refuse_all(*error);
            return done(std::unexpected(Error(*error).in("raise the epoch")));
          }
        // Another server was faster, or it cannot be known: look again.
        log_.warning("the epoch could not be raised; trying again");
        runtime_.after(std::chrono::milliseconds(runtime_.tunables().store_retry_ms),
                       [this, done = std::move(done)]() mutable { start(std::move(done)); });
      });
}

void Engine::reload(std::string_view why) {
  log_.warning("reading the inventory anew: {}", why);
  phase_ = Phase::kReloading;
  store_.scan(std::string(kEverything), [this](Result<ScanAnswer> answer) {
    auto again = [this](const std::string& why_again) {
      runtime_.after(std::chrono::milliseconds(runtime_.tunables().store_retry_ms),
                     [this, why_again] { reload(why_again); });
    };
    if (!answer) return again(answer.error().text());
    Revision revision;
    const auto epoch = epoch_in(answer->found, &revision);
    if (!epoch || *epoch != epoch_ || revision != epoch_revision_) {
      phase_ = Phase::kDeposed;
      log_.error("another server has taken over this store: nothing is written from here any more");
      return refuse_all(
          {Code::kUnavailable, "another server has taken over", {}, "connect to that one"});
    }
    auto after = snapshot_of(std::move(*answer), store_.incarnation());
    if (!after) return again(after.error().text());
    const auto before = std::exchange(head_, std::move(*after));
    const auto edits = differences(before, head_);
    witness_ = {std::string(kEpochKey), epoch_revision_};
    phase_ = Phase::kServing;
    if (on_published) on_published({before, head_, edits});
    if (on_settled) on_settled();
    pump();
  });
}

void Engine::refuse_all(const Error& error) {
  for (auto queue = std::exchange(queue_, {}); auto& pending : queue) {
    std::vector<Result<ItemOutcome>> outcomes;
    for (auto& item : pending->items)
      outcomes.push_back(item.outcome ? *item.outcome : std::unexpected(error));
    pending->request.done(std::move(outcomes));
  }
}

// --- planning

void Engine::submit(Request request) {
  auto pending = std::make_shared<Pending>();
  for (auto& plan : request.items) pending->items.emplace_back().plan = std::move(plan);
  pending->request = std::move(request);
  queue_.push_back(std::move(pending));
  if (phase_ == Phase::kDeposed)
    runtime_.post([this] {
      refuse_all(
          {Code::kUnavailable, "this server does not write", {}, "another one has taken over"});
    });
  else
    pump();
}

void Engine::pump() {
  if (phase_ != Phase::kServing || busy_ || queue_.empty()) return;
  busy_ = true;
  // Posted, so that everything which arrives in this turn of the strand goes into the same batch.
  runtime_.post([this] {
    if (phase_ != Phase::kServing) {
      busy_ = false;
      return;
    }
    auto batch = std::make_shared<Batch>();
    batch->working = head_;
    for (auto queue = std::exchange(queue_, {}); auto& pending : queue) {
      plan(*batch, pending);
      batch->requests.push_back(std::move(pending));
    }
    commit(std::move(batch));
  });
}

void Engine::plan(Batch& batch, const std::shared_ptr<Pending>& pending) {
  const auto steps_before = batch.steps.size();
  const auto working_before = batch.working;
  std::optional<Error> failure;
  for (std::size_t i = 0; i < pending->items.size(); ++i) {
    auto& item = pending->items[i];
    item.steps.clear();
    item.foreseen.reset();
    if (item.outcome) continue;
    auto planned = item.plan(batch.working);
    if (planned && !planned->edits.empty()) {
      const bool fits = add(batch, pending, i, *planned);
      if (!fits)
        planned = fail(
            Code::kInvalidArgument,
            fmt::format("{} changes are more than one transaction holds ({} operations, {} bytes)",
                        planned->edits.size(), runtime_.tunables().store_txn_max_ops,
                        runtime_.tunables().store_txn_max_bytes),
            "split the request");
    }
    item.rests_on = batch.steps.size();
    if (!planned) {
      item.foreseen = std::unexpected(planned.error());
      if (pending->request.atomic) failure = planned.error();
    } else if (planned->edits.empty()) {
      const auto revision = batch.working.revision();
      item.foreseen = ItemOutcome{.revision = revision, .first_revision = revision};
    }
    if (failure) break;
  }
  if (failure) {
    // All or nothing: what the items before it planned is forgotten.
    batch.steps.resize(steps_before);
    batch.working = working_before;
    for (auto& item : pending->items) {
      item.steps.clear();
      item.rests_on = steps_before;
      if (!item.foreseen || item.foreseen->has_value())
        item.foreseen =
            fail(Code::kFailedPrecondition, "not done, because another item of the request failed");
    }
    return;
  }
  if (batch.steps.size() == steps_before + 1 && !pending->request.request_id.empty() &&
      (pending->items.size() == 1 || pending->request.atomic))
    batch.steps.back().txn.request_id = pending->request.request_id;
}

bool Engine::add(Batch& batch, const std::shared_ptr<Pending>& pending, std::size_t index,
                 const Planned& planned) {
  const auto max_ops = static_cast<std::size_t>(runtime_.tunables().store_txn_max_ops);
  // Room for keys of compares and the request id.
  const auto max_bytes = static_cast<std::size_t>(runtime_.tunables().store_txn_max_bytes) - 1024;
  std::vector<Row> rows;
  std::size_t bytes = 0, largest = 0;
  for (const auto& edit : planned.edits) {
    rows.push_back({edit.store_key(), edit.store_value()});
    bytes += rows.back().bytes();
    largest = std::max(largest, rows.back().bytes());
  }
  const bool fits_one = rows.size() <= max_ops && bytes <= max_bytes;
  if (!fits_one && (!planned.divisible || pending->request.atomic || largest > max_bytes))
    return false;

  // A key that the transaction writes already takes no further room: the later value stands for
  // both.
  auto room = [&](std::span<const Row> more) {
    const auto& step = batch.steps.back();
    std::size_t ops = step.edits.size(), size = step.bytes;
    for (const auto& row : more) {
      ops += step.place.contains(row.key) ? 0 : 1;
      size += row.bytes();
    }
    return ops <= max_ops && size <= max_bytes;
  };
  auto begin = [&] {
    auto& step = batch.steps.emplace_back();
    step.of = pending.get();
    step.before = batch.working;
    step.revision = batch.working.revision() + 1;
    step.txn.request_id = fresh_id();
  };
  // Transactions are never shared between requests: a request id names a whole one.
  const bool open = !batch.steps.empty() && batch.steps.back().of == pending.get();
  if (open && pending->request.atomic && !room(rows)) return false;
  if (!open || (fits_one && !room(rows))) begin();

  auto& item = pending->items[index];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!room(std::span(&rows[i], 1))) begin();
    auto& step = batch.steps.back();
    const auto& edit = planned.edits[i];
    batch.working = batch.working.with(std::span(&edit, 1), step.revision);
    step.put(edit, std::move(rows[i]));
    step.after = batch.working;
    if (item.steps.empty() || item.steps.back() != batch.steps.size() - 1)
      item.steps.push_back(batch.steps.size() - 1);
  }
  return true;
}

// --- committing

void Engine::foresee(Batch& batch) {
  for (auto& pending : batch.requests) {
    if (!pending->request.foreseen) continue;
    std::vector<Result<ItemOutcome>> outcomes;
    for (const auto& item : pending->items) {
      if (item.outcome) {
        outcomes.push_back(*item.outcome);
      } else if (item.steps.empty()) {
        ensure(item.foreseen.has_value(), "what has no transaction has its answer");
        outcomes.push_back(*item.foreseen);
      } else {
        const auto& steps = batch.steps;
        outcomes.push_back(ItemOutcome{.revision = steps[item.steps.back()].revision,
                                       .first_revision = steps[item.steps.front()].revision,
                                       .committed = true});
      }
    }
    pending->request.foreseen(outcomes);
  }
}

void Engine::commit(std::shared_ptr<Batch> batch) {
  foresee(*batch);
  if (batch->steps.empty()) return conclude(*batch);
  std::vector<Txn> txns;
  std::vector<std::size_t> which;
  auto witness = witness_;
  for (std::size_t i = 0; i < batch->steps.size(); ++i) {
    auto& step = batch->steps[i];
    step.txn.compares = {{std::string(kEpochKey), epoch_revision_}};
    if (witness.key != kEpochKey) step.txn.compares.push_back(witness);
    witness = step.witness();
    txns.push_back(step.txn);
    which.push_back(i);
  }
  store_.commit(std::move(txns), [this, batch, which = std::move(which),
                                  begun = runtime_.now()](auto outcomes) mutable {
    commit_latency_.add(runtime_.now() - begun);
    committed(std::move(batch), std::move(which), std::move(outcomes));
  });
}

void Engine::committed(std::shared_ptr<Batch> batch, std::vector<std::size_t> which,
                       std::vector<TxnOutcome> outcomes) {
  std::vector<std::size_t> unknown;
  for (std::size_t i = 0; i < which.size(); ++i) {
    auto& outcome = batch->steps[which[i]].outcome;
    // An error tells that handing it over again did nothing; what the first time did is still open.
    const bool still_unknown = outcome && std::holds_alternative<Unknown>(*outcome) &&
                               std::holds_alternative<Error>(outcomes[i]);
    if (!still_unknown) outcome = std::move(outcomes[i]);
    if (std::holds_alternative<Unknown>(*outcome)) unknown.push_back(which[i]);
  }
  if (unknown.empty()) return conclude(*batch);
  // Their request ids tell: handed over again, each is committed once or answers what it was.
  log_.warning("the store cannot say whether {} transactions are in; asking again", unknown.size());
  runtime_.after(std::chrono::milliseconds(runtime_.tunables().store_retry_ms),
                 [this, batch = std::move(batch), unknown = std::move(unknown)]() mutable {
                   std::vector<Txn> txns;
                   for (const auto i : unknown) txns.push_back(batch->steps[i].txn);
                   store_.commit(std::move(txns), [this, batch, unknown](auto outcomes) mutable {
                     committed(std::move(batch), std::move(unknown), std::move(outcomes));
                   });
                 });
}

void Engine::conclude(Batch& batch) {
  // Transactions up to the first that did not go as foreseen are history.
  std::size_t good = 0;
  std::string surprise;
  for (const auto& step : batch.steps) {
    const auto* committed = std::get_if<Committed>(&*step.outcome);
    if (!committed || committed->revision.value != step.revision) break;
    ++good;
  }
  for (std::size_t i = good; i < batch.steps.size(); ++i) {
    const auto* committed = std::get_if<Committed>(&*batch.steps[i].outcome);
    if (committed && committed->revision.value > head_.revision() + static_cast<std::int64_t>(good))
      surprise = "a transaction has another revision than foreseen";
  }
  if (good < batch.steps.size() && std::holds_alternative<Conflict>(*batch.steps[good].outcome))
    surprise = "the store holds something else than was written last";

  for (std::size_t i = 0; i < good; ++i) {
    const auto& step = batch.steps[i];
    head_ = step.after;
    witness_ = step.witness();
    if (on_published) on_published({step.before, step.after, step.edits});
  }
  if (good > 0 && on_settled) on_settled();

  std::vector<std::shared_ptr<Pending>> answered, again;
  for (auto& pending : batch.requests) {
    for (auto& item : pending->items) {
      if (item.outcome) continue;
      if (item.steps.empty()) {
        if (item.rests_on <= good) item.outcome = std::move(item.foreseen);
        continue;
      }
      bool all_in = true;
      for (const auto index : item.steps) {
        const auto& outcome = *batch.steps[index].outcome;
        if (const auto* error = std::get_if<Error>(&outcome))
          item.outcome = std::unexpected(*error);
        all_in = all_in && std::holds_alternative<Committed>(outcome);
      }
      if (!all_in || item.outcome) continue;
      const auto last = std::get<Committed>(*batch.steps[item.steps.back()].outcome).revision.value;
      const auto first =
          std::get<Committed>(*batch.steps[item.steps.front()].outcome).revision.value;
      item.outcome = ItemOutcome{.revision = last,
                                 .first_revision = first,
                                 .committed = true,
                                 .replayed = item.steps.back() >= good};
    }
    (pending->finished() ? answered : again).push_back(std::move(pending));
  }
  queue_.insert(queue_.begin(), again.begin(), again.end());
  busy_ = false;
  for (auto& pending : answered) {
    std::vector<Result<ItemOutcome>> outcomes;
    for (auto& item : pending->items) outcomes.push_back(std::move(*item.outcome));
    pending->request.done(std::move(outcomes));
  }
  if (!surprise.empty()) return reload(surprise);
  pump();
}

}  // namespace penstock
