// Conformance: transactions, reads, limits, request ids.
#include "store/conformance.h"

namespace penstock {
namespace {

TEST_P(StoreConformance, FreshStoreIsEmptyAndHasAnIncarnation) {
  EXPECT_TRUE(scan().found.empty());
  EXPECT_EQ(read("a"), std::nullopt);
  EXPECT_EQ(store().incarnation().size(), 32u);
  EXPECT_EQ(store().incarnation().find_first_not_of("0123456789abcdef"), std::string::npos);
  const auto first = store().incarnation();
  fresh({});
  EXPECT_NE(store().incarnation(), first);
}

TEST_P(StoreConformance, EachChangeTakesTheNextRevision) {
  const auto base = revision();
  EXPECT_EQ(committed(txn({put("a", "1")})), base + 1);
  EXPECT_EQ(committed(txn({put("a", "1")})), base + 2) << "a put of the same value is a change";
  EXPECT_EQ(committed(txn({del("a")})), base + 3);
  EXPECT_EQ(committed(txn({del("a"), del("b")})), base + 3)
      << "nothing to delete: no revision taken";
  EXPECT_EQ(committed(txn({})), base + 3);
  EXPECT_EQ(revision(), base + 3);
  EXPECT_EQ(committed(txn({put("b", ""), put("c", "3")})), base + 4)
      << "one revision a transaction";
}

TEST_P(StoreConformance, KeysCarryTheirRevisions) {
  const auto base = revision();
  committed(txn({put("a", "1")}));
  committed(txn({put("b", "1")}));
  committed(txn({put("a", "2")}));
  EXPECT_EQ(read("a"), (KeyValue{"a", "2", base + 1, base + 3}));
  committed(txn({del("a")}));
  EXPECT_EQ(read("a"), std::nullopt);
  committed(txn({put("a", "3")}));
  EXPECT_EQ(read("a"), (KeyValue{"a", "3", base + 5, base + 5})) << "a deleted key starts anew";
}

TEST_P(StoreConformance, ScanIsByPrefixInBytewiseOrder) {
  const std::string high("k\xff\xff", 3), zero("k\0z", 3);
  const auto last = committed(
      txn({put("k", ""), put(high, "h"), put("ka", "a"), put(zero, std::string("\0\n", 2)),
           put("l", ""), put("j", ""), put("k\x7f", ""), put("k\x80", "")}));
  const auto keys = [&](std::string prefix) {
    std::vector<std::string> found;
    for (const auto& it : scan(std::move(prefix)).found) found.push_back(it.key);
    return found;
  };
  using Keys = std::vector<std::string>;
  EXPECT_EQ(keys("k"), (Keys{"k", zero, "ka", "k\x7f", "k\x80", high}));
  EXPECT_EQ(keys("k\xff"), (Keys{high}));
  EXPECT_EQ(keys(""), (Keys{"j", "k", zero, "ka", "k\x7f", "k\x80", high, "l"}));
  EXPECT_EQ(keys("kaa"), Keys{});
  EXPECT_EQ(read(zero)->value, std::string("\0\n", 2));
  EXPECT_EQ(scan("nothing").revision, last);
}

TEST_P(StoreConformance, ComparesDecideBeforeAnythingHappens) {
  const auto first = committed(txn({put("a", "1")}));
  EXPECT_EQ(commit(txn({put("a", "x"), put("b", "x")}, {{"a", first}, {"b", first}})),
            TxnOutcome(Conflict{1}));
  EXPECT_EQ(commit(txn({put("a", "x")}, {{"a", Revision{0}}, {"b", first}})),
            TxnOutcome(Conflict{0}));
  EXPECT_EQ(commit(txn({put("a", "x")}, {{"a", first + 1}})), TxnOutcome(Conflict{0}));
  EXPECT_EQ(revision(), first) << "a conflict changes nothing";
  EXPECT_EQ(read("b"), std::nullopt);

  EXPECT_EQ(committed(txn({put("b", "2")}, {{"a", first}, {"b", Revision{0}}})), first + 1);
  EXPECT_EQ(committed(txn({del("a")}, {{"a", first}})), first + 2);
  EXPECT_EQ(commit(txn({put("a", "3")}, {{"a", first}})), TxnOutcome(Conflict{0}))
      << "deleted since";
  EXPECT_EQ(committed(txn({put("a", "3")}, {{"a", Revision{0}}})), first + 3);
  EXPECT_EQ(commit(txn({}, {{"a", first}})), TxnOutcome(Conflict{0})) << "a mere question";
}

TEST_P(StoreConformance, ABatchIsATransactionAtATimeInOrder) {
  const auto base = revision();
  std::vector<Txn> batch;
  batch.push_back(txn({put("a", "1")}, {{"a", Revision{0}}}));
  batch.push_back(
      txn({put("a", "2"), put("x", "")}, {{"a", Revision{0}}}));  // the first one's doing
  batch.push_back(txn({put("", "no")}));
  batch.push_back(txn({put("a", "3")}, {{"a", base + 1}}));
  batch.push_back(txn({del("nothing")}));
  batch.push_back(txn({put("b", "4"), del("a")}));
  const auto outcomes = commit(std::move(batch));
  EXPECT_EQ(outcomes[0], TxnOutcome(Committed{base + 1}));
  EXPECT_EQ(outcomes[1], TxnOutcome(Conflict{0}));
  EXPECT_TRUE(std::holds_alternative<Error>(outcomes[2]));
  EXPECT_EQ(outcomes[3], TxnOutcome(Committed{base + 2}));
  EXPECT_EQ(outcomes[4], TxnOutcome(Committed{base + 2}));
  EXPECT_EQ(outcomes[5], TxnOutcome(Committed{base + 3}));
  EXPECT_EQ(scan().found, (std::vector<KeyValue>{{"b", "4", base + 3, base + 3}}));
  EXPECT_TRUE(commit(std::vector<Txn>{}).empty());
}

TEST_P(StoreConformance, CallsKeepTheirOrderWhileTheMediumIsBusy) {
  const auto base = revision();
  std::vector<std::int64_t> revisions;
  for (int i = 0; i < 200; ++i)
    store().commit({txn({put("k", std::to_string(i))})}, [&](std::vector<TxnOutcome> outcomes) {
      revisions.push_back(std::get<Committed>(outcomes.at(0)).revision.value);
    });
  ASSERT_TRUE(world().run_until([&] { return revisions.size() == 200; }));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(revisions[i], base.value + 1 + i);
  EXPECT_EQ(read("k")->value, "199");
}

TEST_P(StoreConformance, ReadsSeeWhatWasAcknowledged) {
  bool checked = false;
  store().commit({txn({put("a", "1")})}, [&](std::vector<TxnOutcome> outcomes) {
    const auto revision = std::get<Committed>(outcomes.at(0)).revision;
    store().read("a", [&checked, revision](Result<ReadAnswer> answer) {
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->found->mod_revision, revision);
      EXPECT_GE(answer->revision, revision);
      checked = true;
    });
  });
  EXPECT_TRUE(world().run_until([&] { return checked; }));
}

Code code_of(const TxnOutcome& outcome) {
  const auto* error = std::get_if<Error>(&outcome);
  EXPECT_NE(error, nullptr) << outcome;
  return error ? error->code : Code::kInternal;
}

TEST_P(StoreConformance, LimitsAreErrorsAndNothingHappens) {
  const auto base = revision();
  const auto many = [](int count) {
    std::vector<Txn::Op> ops;
    for (int i = 0; i < count; ++i) ops.push_back(put("key" + std::to_string(i), "v"));
    return ops;
  };
  EXPECT_EQ(code_of(commit(txn(many(101)))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(commit(txn({}, std::vector<Txn::Compare>(101, {"a", Revision{0}})))),
            Code::kInvalidArgument);
  EXPECT_EQ(code_of(commit(txn({put("a", std::string(1 << 20, 'x'))}))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(commit(txn({put("a", "1"), del("a")}))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(commit(txn({del("")}))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(commit(txn({put(std::string("\0a", 2), "")}))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(commit(txn({}, {{"", Revision{0}}}))), Code::kInvalidArgument);
  EXPECT_EQ(revision(), base);
  EXPECT_EQ(committed(txn(many(100))), base + 1);
  EXPECT_EQ(committed(txn({put("a", std::string((1 << 20) - 1, 'x'))})), base + 2);
  EXPECT_EQ(read("a")->value.size(), (1u << 20) - 1);
}

TEST_P(StoreConformance, TheLimitsAreTunables) {
  Tunables tunables;
  tunables.store_txn_max_ops = 2;
  tunables.store_txn_max_bytes = 1 << 12;
  fresh(tunables);
  EXPECT_EQ(code_of(commit(txn({del("a"), del("b"), del("c")}))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(commit(txn({put("a", std::string(1 << 12, 'x'))}))), Code::kInvalidArgument);
}

TEST_P(StoreConformance, ARequestIdCommitsOnce) {
  const auto base = revision();
  EXPECT_EQ(committed(txn({put("a", "1")}, {{"a", Revision{0}}}, "req-1")), base + 1);
  committed(txn({put("a", "2")}));
  EXPECT_EQ(committed(txn({put("a", "1")}, {{"a", Revision{0}}}, "req-1")), base + 1);
  EXPECT_EQ(committed(txn({put("z", "planned anew")}, {}, "req-1")), base + 1);
  EXPECT_EQ(revision(), base + 2);
  EXPECT_EQ(read("a")->value, "2");
  world().restart();
  EXPECT_EQ(committed(txn({put("a", "1")}, {}, "req-1")), base + 1) << "across a restart";

  std::vector<Txn> twice{txn({put("b", "1")}, {}, "req-2"), txn({put("b", "2")}, {}, "req-2")};
  const auto outcomes = commit(std::move(twice));
  EXPECT_EQ(outcomes[0], TxnOutcome(Committed{base + 3}));
  EXPECT_EQ(outcomes[1], TxnOutcome(Committed{base + 3}));
  EXPECT_EQ(read("b")->value, "1");
}

TEST_P(StoreConformance, ARequestThatHadNoEffectIsJudgedAnew) {
  const auto first = committed(txn({put("a", "1")}));
  EXPECT_EQ(commit(txn({put("b", "")}, {{"a", Revision{0}}}, "req")), TxnOutcome(Conflict{0}));
  committed(txn({del("a")}));
  EXPECT_EQ(committed(txn({put("b", "")}, {{"a", Revision{0}}}, "req")), first + 2);
}

TEST_P(StoreConformance, RequestIdsLiveAsLongAsHistory) {
  Tunables tunables;
  tunables.store_history_revisions = 16;
  fresh(tunables);
  const auto first = committed(txn({put("a", "")}, {}, "req"));
  for (int i = 0; i < 15; ++i)
    committed(txn({put("b", std::to_string(i))}, {}, "other" + std::to_string(i)));
  EXPECT_EQ(committed(txn({put("a", "again")}, {}, "req")), first);
}

TEST_P(StoreConformance, ARestartLosesNothing) {
  const auto incarnation = store().incarnation();
  committed(txn({put("a", "1"), put("b", "2")}));
  const auto last = committed(txn({del("a")}));
  const auto before = scan();
  world().restart();
  EXPECT_EQ(store().incarnation(), incarnation);
  EXPECT_EQ(scan().found, before.found);
  EXPECT_EQ(revision(), last);
  EXPECT_EQ(committed(txn({put("c", "3")})), last + 1);
}

TEST_P(StoreConformance, ARestartDropsCallbacksAndHalvesNothing) {
  for (int i = 0; i < 50; ++i)
    store().commit({txn({put("x", std::to_string(i)), put("y", std::to_string(i))})},
                   [](std::vector<TxnOutcome>) { ADD_FAILURE() << "called after the restart"; });
  store().scan("", [](Result<ScanAnswer>) { ADD_FAILURE() << "called after the restart"; });
  world().restart();
  const auto x = read("x"), y = read("y");
  ASSERT_EQ(x.has_value(), y.has_value());
  if (x) {
    EXPECT_EQ(x->value, y->value);
  }
  world().run_for(std::chrono::milliseconds(50));
}

}  // namespace
}  // namespace penstock
