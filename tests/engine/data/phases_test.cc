#include "engine/data/phases.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/data/replay.h"
#include "engine/data/windows.h"

namespace lanthorn::data {
namespace {

TokenIds Counting(int64_t first, int64_t length) {
  return TokenIds::FromTensor(at::arange(first, first + length, c10::kLong));
}

std::shared_ptr<Batches> Windows(int64_t first, int64_t length, WindowOrder order = WindowOrder::kFixed) {
  return std::make_shared<WindowBatches>(Counting(first, length),
                                         WindowOptions{.batch = 4, .seq = 5, .stride = 5, .order = order});
}

std::vector<int64_t> Firsts(const Batch& batch) {
  std::vector<int64_t> firsts;
  for (int64_t row = 0; row < batch.x.size(0); ++row) firsts.push_back(batch.x[row][0].item<int64_t>());
  return firsts;
}

TEST(Streams, RowsGoOnFromBatchToBatch) {
  const auto streams = Windows(0, 4 * 5 * 6 + 3, WindowOrder::kStreams);  // M = 6 windows in each of 4 streams
  ASSERT_EQ(streams->count(), 5);
  for (int64_t c = 0; c < 5; ++c) {
    const Batch batch = streams->Get(c);
    EXPECT_EQ(Firsts(batch), (std::vector<int64_t>{c * 5, 30 + c * 5, 60 + c * 5, 90 + c * 5}));
    EXPECT_TRUE(at::equal(batch.x + 1, batch.y));
    if (c > 0) {  // the last target of a row is the first token of the next
      EXPECT_TRUE(at::equal(streams->Get(c - 1).y.select(1, 4), batch.x.select(1, 0)));
    }
  }
  EXPECT_EQ(Windows(0, 39, WindowOrder::kStreams)->count(), 0);  // one window each has no next one
}

// The published halves: 557,697 characters, 64 streams of 100.
TEST(Streams, CountAsPublished) {
  const auto count = [](int64_t length) {
    return WindowBatches(Counting(0, length), {.batch = 64, .seq = 100, .order = WindowOrder::kStreams}).count();
  };
  EXPECT_EQ(count(557697), 86);
  EXPECT_EQ(count(501927), 77);
  EXPECT_EQ(count(55770), 7);
  EXPECT_EQ(count(1115394), 173);
}

TEST(Phases, PassesFollowOneAnotherAndPhasesEndBehindTheirLast) {
  const PhaseBatches phases({{0, {Windows(0, 41), Windows(0, 41)}}, {1, {Windows(1000, 61), Windows(1000, 61)}}},
                            false);
  EXPECT_EQ(phases.count(), 2 * 2 + 2 * 3);
  EXPECT_EQ(phases.Ends(), (std::vector<int64_t>{4, 10}));
  EXPECT_EQ(phases.PassEnds(), (std::vector<std::vector<int64_t>>{{2, 4}, {7, 10}}));
  std::vector<int64_t> domains;
  for (int64_t i = 0; i < phases.count(); ++i) domains.push_back(phases.Get(i).domain);
  EXPECT_EQ(domains, (std::vector<int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 1, 1}));
  EXPECT_TRUE(at::equal(phases.Get(0).x, phases.Get(2).x));
  EXPECT_EQ(phases.samples(), 2 * 8 + 2 * 12);
}

TEST(Phases, InTurnsEveryPassHasAsManyOfEach) {
  const PhaseBatches phases({{0, {Windows(0, 41), Windows(0, 41)}}, {1, {Windows(1000, 61), Windows(1000, 61)}}}, true);
  EXPECT_EQ(phases.count(), 8);
  EXPECT_EQ(phases.Ends(), (std::vector<int64_t>{8}));
  EXPECT_EQ(phases.PassEnds(), (std::vector<std::vector<int64_t>>{{4, 8}}));
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(phases.Get(i).domain, i % 2);
  EXPECT_TRUE(at::equal(phases.Get(1).x, phases.Get(5).x));
}

std::shared_ptr<PhaseBatches> ThreeTasks() {
  return std::make_shared<PhaseBatches>(
      std::vector<Phase>{{0, {Windows(0, 101)}}, {1, {Windows(1000, 101)}}, {2, {Windows(2000, 101)}}}, false);
}

int64_t TaskOf(int64_t token) { return token / 1000; }

TEST(Replay, WithoutMemoryIsTheTrainingItself) {
  const auto plain = ThreeTasks();
  const auto replay = *ReplayBatches::Make(ThreeTasks(), {.memory = 0});
  for (int64_t i = 0; i < plain->count(); ++i) EXPECT_TRUE(at::equal(replay->Get(i).x, plain->Get(i).x));
}

TEST(Replay, AddsRowsOfEarlierPhasesInEqualSharesThatShrink) {
  const auto plain = ThreeTasks();
  const auto replay = *ReplayBatches::Make(ThreeTasks(), {.memory = 7, .seed = 3});
  std::vector<ReplayBatches::Row> first_share;
  for (int64_t i = 0; i < plain->count(); ++i) {
    const Batch batch = replay->Get(i), own = plain->Get(i);
    EXPECT_TRUE(at::equal(batch.x.narrow(0, 0, own.x.size(0)), own.x)) << i;
    EXPECT_TRUE(at::equal(batch.x + 1, batch.y));
    EXPECT_EQ(batch.domain, own.domain);
    const int64_t phase = i / 5;
    EXPECT_EQ(batch.x.size(0), phase == 0 ? 4 : 8) << i;
    std::map<int64_t, int64_t> shares;
    for (const auto& row : replay->KeptAt(i)) ++shares[row.batch / 5];
    if (phase == 1) {
      EXPECT_EQ(shares, (std::map<int64_t, int64_t>{{0, 7}}));
      first_share = replay->KeptAt(i);
    }
    if (phase == 2) {
      EXPECT_EQ(shares, (std::map<int64_t, int64_t>{{0, 4}, {1, 3}}));
      for (size_t r = 0; r < 4; ++r) EXPECT_TRUE(replay->KeptAt(i)[r] == first_share[r]);
    }
    for (int64_t row = 4; row < batch.x.size(0); ++row) EXPECT_LT(TaskOf(batch.x[row][0].item<int64_t>()), phase) << i;
  }
}

TEST(Replay, ABatchIsAFunctionOfItsNumberAndTheSeed) {
  for (const char* kind : {"per_task", "reservoir"}) {
    SCOPED_TRACE(kind);
    const ReplayOptions options{.memory = 6, .kind = kind, .seed = 3};
    const auto forwards = *ReplayBatches::Make(ThreeTasks(), options),
               at_once = *ReplayBatches::Make(ThreeTasks(), options);
    std::vector<at::Tensor> all;
    for (int64_t i = 0; i < 15; ++i) all.push_back(forwards->Get(i).x);
    EXPECT_TRUE(at::equal(at_once->Get(13).x, all[13]));  // as a resumed training asks for it
    EXPECT_TRUE(at::equal(at_once->Get(4).x, all[4]));
    ReplayOptions other = options;
    other.seed = 4;
    EXPECT_FALSE(at::equal((*ReplayBatches::Make(ThreeTasks(), other))->Get(13).x, all[13]));
  }
}

TEST(Replay, AReservoirKeepsEveryRowSeenWithTheSameChance) {
  std::vector<int64_t> kept(60, 0);
  const int64_t draws = 2000;
  for (int64_t seed = 0; seed < draws; ++seed) {
    const auto replay = *ReplayBatches::Make(ThreeTasks(), {.memory = 6, .kind = "reservoir", .seed = seed});
    std::set<std::pair<int64_t, int64_t>> distinct;
    for (const auto& row : replay->KeptAt(14)) {
      ++kept[static_cast<size_t>(row.batch * 4 + row.row)];
      distinct.insert({row.batch, row.row});
    }
    ASSERT_EQ(distinct.size(), 6u);
  }
  // 56 rows seen: 6 / 56 of 2000 draws is 214 +- 14; six deviations.
  for (size_t row = 0; row < 56; ++row) EXPECT_NEAR(static_cast<double>(kept[row]), 214.3, 85) << row;
  for (size_t row = 56; row < 60; ++row) EXPECT_EQ(kept[row], 0);
}

TEST(Replay, InPlaceHalfOfTheRowsGiveWay) {
  const auto plain = ThreeTasks();
  const auto replay = *ReplayBatches::Make(ThreeTasks(), {.memory = 100, .in_place = true});
  for (int64_t i = 0; i < 15; ++i) {
    const Batch batch = replay->Get(i);
    ASSERT_EQ(batch.x.size(0), 4);
    const int64_t own = i < 5 ? 4 : 2;
    EXPECT_TRUE(at::equal(batch.x.narrow(0, 0, own), plain->Get(i).x.narrow(0, 0, own)));
  }
}

TEST(Replay, BadInputIsNamed) {
  EXPECT_FALSE(ReplayBatches::Make(ThreeTasks(), {.memory = -1}).ok());
  const auto turns =
      std::make_shared<PhaseBatches>(std::vector<Phase>{{0, {Windows(0, 41)}}, {1, {Windows(1000, 41)}}}, true);
  const auto refused = ReplayBatches::Make(turns, {.memory = 3});
  EXPECT_NE(MessageOf(refused.status()).find("take turns"), std::string::npos);
}

}  // namespace
}  // namespace lanthorn::data
