// Conformance: random transactions against a model that is too simple to be wrong.
#include <map>
#include <set>

#include "base/sim_runtime.h"
#include "store/conformance.h"

namespace penstock {
namespace {

struct Model {
  Revision latest;
  std::map<std::string, KeyValue> state;
  std::map<std::string, Revision> requests;
  std::vector<KeyEvent> events;

  TxnOutcome commit(const Txn& txn) {
    if (!txn.request_id.empty() && requests.contains(txn.request_id))
      return Committed{requests[txn.request_id]};
    for (std::size_t i = 0; i < txn.compares.size(); ++i) {
      const auto found = state.find(txn.compares[i].key);
      const auto is = found == state.end() ? Revision{0} : found->second.mod_revision;
      if (is != txn.compares[i].mod_revision) return Conflict{i};
    }
    const auto revision = latest + 1;
    bool changed = false;
    for (const auto& op : txn.ops) {
      if (const auto* put = std::get_if<Txn::Put>(&op)) {
        auto& it = state[put->key];
        if (it.key.empty()) it.create_revision = revision;
        it.key = put->key, it.value = put->value, it.mod_revision = revision;
        events.push_back({put->key, put->value, it.create_revision, revision});
        changed = true;
      } else if (const auto& key = std::get<Txn::Delete>(op).key; state.erase(key) > 0) {
        events.push_back({key, std::nullopt, Revision{0}, revision});
        changed = true;
      }
    }
    if (!changed) return Committed{latest};
    if (!txn.request_id.empty()) requests[txn.request_id] = revision;
    return Committed{latest = revision};
  }
  std::vector<KeyValue> scan(const std::string& prefix) const {
    std::vector<KeyValue> found;
    for (const auto& [key, value] : state)
      if (key.starts_with(prefix)) found.push_back(value);
    return found;
  }
};

// `ids`: from so many request ids it draws.
Txn random_txn(SimRandom& random, const Model& model, std::uint64_t ids) {
  // Few keys, prefixes of one another, so that compares meet and conflict.
  const auto key = [&] {
    std::string text = random.chance(0.5) ? "a" : "b";
    for (auto more = random.below(3); more > 0; --more)
      text += static_cast<char>('/' + random.below(3));
    return text;
  };
  Txn txn;
  for (auto count = random.below(3); count > 0; --count) {
    auto name = key();
    const auto found = model.state.find(name);
    auto revision = found == model.state.end() ? Revision{0} : found->second.mod_revision;
    if (random.chance(0.15))
      revision = Revision{static_cast<std::int64_t>(random.below(model.latest.value + 2))};
    txn.compares.push_back({std::move(name), revision});
  }
  std::set<std::string> used;
  for (auto count = random.below(5); count > 0; --count) {
    auto name = key();
    if (!used.insert(name).second) continue;
    if (random.chance(0.35))
      txn.ops.push_back(del(std::move(name)));
    else
      txn.ops.push_back(put(std::move(name),
                            std::string(random.below(40), static_cast<char>(random.below(256)))));
  }
  if (random.chance(0.4)) txn.request_id = "r" + std::to_string(random.below(ids));
  return txn;
}

}  // namespace

void StoreConformance::run_against_model(std::uint64_t seed, std::int64_t history) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Tunables tunables;
  tunables.store_history_revisions = history;
  tunables.store_checkpoint_pages = 16;
  fresh(tunables);
  SimRandom random(seed);
  // With a short history the store may forget an id that the model knows: there, no id comes twice.
  const std::uint64_t ids = history < 1'000 ? 1ULL << 60 : 60;
  Model model;
  model.latest = revision();
  const auto base = model.latest;
  const std::string prefix = random.chance(0.5) ? "a" : "b/";
  auto watcher = watch(prefix, base + 1);
  std::vector<KeyEvent> seen;
  for (int round = 0; round < 60; ++round) {
    std::vector<Txn> batch;
    std::vector<TxnOutcome> expected;
    for (auto count = 1 + random.below(6); count > 0; --count) {
      batch.push_back(random_txn(random, model, ids));
      expected.push_back(model.commit(batch.back()));
    }
    ASSERT_EQ(commit(std::move(batch)), expected) << "round " << round;
    if (random.chance(0.1)) {
      ASSERT_TRUE(reaches(*watcher, model.latest));
      for (auto& event : watcher->events()) seen.push_back(std::move(event));
      world().restart();
      watcher = watch(prefix, model.latest + 1);
    }
    if (random.chance(0.2)) {
      const auto answer = scan(prefix);
      ASSERT_EQ(answer.found, model.scan(prefix));
      ASSERT_EQ(answer.revision, model.latest);
    }
  }
  ASSERT_TRUE(reaches(*watcher, model.latest));
  for (auto& event : watcher->events()) seen.push_back(std::move(event));
  std::vector<KeyEvent> wanted;
  for (const auto& event : model.events)
    if (event.key.starts_with(prefix)) wanted.push_back(event);
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(scan().found, model.scan(""));
  if (history < 1'000) return;
  const auto all = watch("", base + 1);
  ASSERT_TRUE(reaches(*all, model.latest));
  EXPECT_EQ(all->events(), model.events);
}

namespace {

TEST_P(StoreConformance, BehavesLikeTheModel) {
  for (std::uint64_t seed = 1; seed <= 8 && !HasFailure(); ++seed) run_against_model(seed, 10'000);
}

TEST_P(StoreConformance, BehavesLikeTheModelWithShortHistory) {
  for (std::uint64_t seed = 100; seed <= 107 && !HasFailure(); ++seed) run_against_model(seed, 16);
}

}  // namespace
}  // namespace penstock
