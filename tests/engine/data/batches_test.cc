#include "engine/data/batches.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_format.h"
#include "engine/data/text.h"

namespace lanthorn::data {
namespace {

// Ids 0, 1, 2 ...: a value is its position.
TextBatches Positions(int64_t length, const TextOptions& options) {
  return TextBatches(at::arange(length, c10::kLong), options);
}
int64_t At(const at::Tensor& tensor, int64_t row, int64_t column) { return tensor[row][column].item<int64_t>(); }

TEST(Batches, TargetsAreTheInputsOneCharacterLater) {
  for (const Layout layout : {Layout::kRows, Layout::kStreams, Layout::kOverlap}) {
    const TextBatches batches = Positions(200, {.batch = 3, .seq = 7, .stride = 5, .layout = layout});
    ASSERT_GT(batches.count(), 1);
    for (int64_t i = 0; i < batches.count(); ++i) {
      const Batch batch = batches.Get(i);
      EXPECT_EQ(batch.x.sizes(), at::IntArrayRef({3, 7}));
      EXPECT_TRUE(at::equal(batch.x + 1, batch.y));
      EXPECT_TRUE(at::equal(batch.x.narrow(1, 1, 6), batch.y.narrow(1, 0, 6)));
      EXPECT_LT(batch.y.max().item<int64_t>(), 200);
      EXPECT_TRUE(batch.x.is_contiguous() && batch.y.is_contiguous());
    }
  }
}

TEST(Batches, CountsAreThoseOfAPlainEnumerationOfRows) {
  for (int64_t length = 0; length < 60; ++length) {
    for (const int64_t S : {1, 4, 9}) {
      for (const int64_t stride : {1, 3, 10}) {
        for (const int64_t B : {1, 2, 5}) {
          int64_t rows = 0;
          for (int64_t s = 0; s + S + 1 < length; s += stride) ++rows;
          EXPECT_EQ(CountBatches(length, {.batch = B, .seq = S, .stride = stride}), rows / B)
              << absl::StrFormat("rows: length %d, S %d, stride %d, B %d", length, S, stride, B);
          const int64_t n = length / S * S;
          EXPECT_EQ(CountBatches(length, {.batch = B, .seq = S, .layout = Layout::kOverlap}),
                    std::max<int64_t>(0, n - S) / B);
          EXPECT_EQ(CountBatches(length, {.batch = B, .seq = S, .layout = Layout::kStreams}),
                    std::max<int64_t>(0, length / (B * S) - 1));
        }
      }
    }
  }
}

TEST(Batches, RowsStartAtMultiplesOfTheStrideInOrder) {
  const TextBatches batches = Positions(100, {.batch = 2, .seq = 4, .stride = 10});
  EXPECT_EQ(batches.count(), 5);
  EXPECT_EQ(batches.rows(), 2);
  EXPECT_EQ(batches.targets(), 8);
  for (int64_t i = 0; i < batches.count(); ++i) {
    for (int64_t b = 0; b < 2; ++b) EXPECT_EQ(At(batches.Get(i).x, b, 0), (2 * i + b) * 10);
  }
}

TEST(Batches, OverlapRowsAreOneApart) {
  const TextBatches batches = Positions(50, {.batch = 4, .seq = 8, .layout = Layout::kOverlap});
  EXPECT_EQ(batches.count(), (48 - 8) / 4);
  for (int64_t i = 0; i < batches.count(); ++i) {
    for (int64_t b = 0; b < 4; ++b) EXPECT_EQ(At(batches.Get(i).x, b, 0), 4 * i + b);
  }
}

TEST(Batches, StreamsRunOnFromBatchToBatch) {
  const TextBatches batches = Positions(103, {.batch = 3, .seq = 8, .layout = Layout::kStreams});
  ASSERT_EQ(batches.count(), 3);  // M = 4 windows of 3 x 8
  for (int64_t b = 0; b < 3; ++b) {
    EXPECT_EQ(At(batches.Get(0).x, b, 0), b * 4 * 8);
    for (int64_t i = 1; i < batches.count(); ++i)
      EXPECT_EQ(At(batches.Get(i).x, b, 0), At(batches.Get(i - 1).x, b, 7) + 1);
  }
}

std::vector<int64_t> Starts(TextBatches& batches, int64_t epoch) {
  batches.SetEpoch(epoch);
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < batches.count(); ++i) {
    const Batch batch = batches.Get(i);
    for (int64_t b = 0; b < batches.rows(); ++b) starts.push_back(At(batch.x, b, 0));
  }
  return starts;
}

TEST(Batches, ShufflingIsAPermutationOfTheRows) {
  for (const Layout layout : {Layout::kRows, Layout::kOverlap}) {
    const TextOptions options = {.batch = 1, .seq = 4, .stride = 3, .layout = layout, .shuffle = true, .seed = 5};
    TextBatches shuffled = Positions(400, options);
    TextOptions ordered_options = options;
    ordered_options.shuffle = false;
    TextBatches ordered = Positions(400, ordered_options);
    std::vector<int64_t> starts = Starts(shuffled, 2);
    const std::vector<int64_t> in_order = Starts(ordered, 2);
    EXPECT_NE(starts, in_order);
    std::sort(starts.begin(), starts.end());
    EXPECT_EQ(starts, in_order);
  }
}

TEST(Batches, TheOrderDependsOnSeedAndEpochOnly) {
  const TextOptions options = {.batch = 4, .seq = 4, .stride = 3, .shuffle = true, .seed = 5};
  TextBatches a = Positions(400, options), b = Positions(400, options);
  at::manual_seed(1);
  const std::vector<int64_t> first = Starts(a, 3);
  at::manual_seed(2);
  Starts(b, 0);
  EXPECT_EQ(Starts(b, 3), first);  // whatever came before
  EXPECT_NE(Starts(a, 4), first);
  TextOptions other = options;
  other.seed = 6;
  TextBatches c = Positions(400, other);
  EXPECT_NE(Starts(c, 3), first);
  other.seed = 5 + (int64_t{1} << 32);
  TextBatches d = Positions(400, other);
  EXPECT_NE(Starts(d, 3), first);  // all bits of the seed count
}

TEST(Batches, WithoutShufflingEpochsAreAlike) {
  TextBatches batches = Positions(100, {.batch = 2, .seq = 4, .stride = 3});
  EXPECT_EQ(Starts(batches, 0), Starts(batches, 7));
}

TEST(Batches, ANumberOutsideOfTheEpochIsAnError) {
  const TextBatches batches = Positions(100, {.batch = 2, .seq = 4, .stride = 10});
  for (int64_t index : {int64_t{-1}, batches.count()}) EXPECT_THROW(batches.Get(index), c10::Error);
}

TEST(Batches, TheHashTellsBatchesApart) {
  const TextBatches batches = Positions(100, {.batch = 2, .seq = 4, .stride = 10});
  EXPECT_EQ(HashBatch(batches.Get(0)), HashBatch(batches.Get(0)));
  EXPECT_NE(HashBatch(batches.Get(0)), HashBatch(batches.Get(1)));
  const Batch batch = batches.Get(0);
  EXPECT_NE(HashBatch(batch), HashBatch({batch.y, batch.x}));
  EXPECT_EQ(HashBatch(batch), HashBatch({batch.x.t().contiguous().t(), batch.y}));  // values, not strides
  EXPECT_EQ(HashBatch(batch).rfind("sha256:", 0), 0u);
}

}  // namespace
}  // namespace lanthorn::data
