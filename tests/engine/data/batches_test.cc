#include "engine/data/batches.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_format.h"
#include "engine/data/tensors.h"
#include "engine/data/text.h"

namespace lanthorn::data {
namespace {

// Ids 0, 1, 2 ...: a value is its position.
TextBatches Positions(int64_t length, const TextOptions& options) {
  return TextBatches(TokenIds::FromTensor(at::arange(length, c10::kLong)), options);
}
int64_t At(const at::Tensor& tensor, int64_t row, int64_t column) { return tensor[row][column].item<int64_t>(); }

TEST(Batches, TargetsAreTheInputsOneCharacterLater) {
  for (const Layout layout : {Layout::kRows, Layout::kStreams, Layout::kOverlap}) {
    const TextBatches batches = Positions(200, {.batch = 3, .seq = 7, .stride = 5, .layout = layout});
    ASSERT_GT(batches.count(), 1);
    int64_t rows = 0;
    for (int64_t i = 0; i < batches.count(); ++i) {
      const Batch batch = batches.Get(i);
      rows += batch.x.size(0);
      if (i + 1 < batches.count()) {
        EXPECT_EQ(batch.x.sizes(), at::IntArrayRef({3, 7}));
      }
      EXPECT_TRUE(at::equal(batch.x + 1, batch.y));
      EXPECT_TRUE(at::equal(batch.x.narrow(1, 1, 6), batch.y.narrow(1, 0, 6)));
      EXPECT_LT(batch.y.max().item<int64_t>(), 200);
      EXPECT_TRUE(batch.x.is_contiguous() && batch.y.is_contiguous());
    }
    EXPECT_EQ(rows, batches.samples());
  }
}

TEST(Batches, RandomRowsBeginAnywhereAnewEachEpoch) {
  const TextOptions options = {.batch = 4, .seq = 7, .layout = Layout::kRandom, .batches = 50, .seed = 3};
  TextBatches batches = Positions(40, options);
  EXPECT_EQ(batches.count(), 50);
  EXPECT_EQ(batches.samples(), 200);
  EXPECT_EQ(batches.left_out(), 0);
  EXPECT_EQ(batches.rows(), 4);
  std::set<int64_t> starts;
  for (int64_t i = 0; i < batches.count(); ++i) {
    const Batch batch = batches.Get(i);
    EXPECT_TRUE(at::equal(batch.x + 1, batch.y));
    for (int64_t row = 0; row < 4; ++row) starts.insert(At(batch.x, row, 0));
  }
  EXPECT_EQ(*starts.begin(), 0);
  EXPECT_EQ(*starts.rbegin(), 40 - 7 - 2);  // the last start leaves room for the last target
  EXPECT_EQ(starts.size(), 32u);            // all of them, after so many draws
  const at::Tensor first = batches.Get(9).x;
  EXPECT_TRUE(at::equal(first, batches.Get(9).x));
  EXPECT_FALSE(at::equal(first, batches.Get(8).x));
  batches.SetEpoch(1);
  EXPECT_FALSE(at::equal(first, batches.Get(9).x));
  batches.SetEpoch(0);
  EXPECT_TRUE(at::equal(first, batches.Get(9).x));
  TextOptions other = options;
  other.seed = 4;
  EXPECT_FALSE(at::equal(first, Positions(40, other).Get(9).x));
  other.batches = 0;  // as many as rows side by side
  EXPECT_EQ(CountBatches(40, other), 1);
  EXPECT_EQ(CountBatches(4 * 7 * 5 + 8, other), 5);
  EXPECT_EQ(CountBatches(8, other), 0);
  EXPECT_EQ(CountBatches(8, options), 0);
}

TEST(Batches, CountsAreThoseOfAPlainEnumerationOfRows) {
  for (int64_t length = 0; length < 60; ++length) {
    for (const int64_t S : {1, 4, 9}) {
      for (const int64_t stride : {1, 3, 10}) {
        for (const int64_t B : {1, 2, 5}) {
          int64_t rows = 0;
          for (int64_t s = 0; s + S + 1 < length; s += stride) ++rows;
          const auto about = absl::StrFormat("rows: length %d, S %d, stride %d, B %d", length, S, stride, B);
          const auto ceil = [B = B](int64_t all) { return all / B + (all % B > 0 ? 1 : 0); };
          const TextOptions options = {.batch = B, .seq = S, .stride = stride};
          TextOptions whole = options;
          whole.drop_last = true;
          EXPECT_EQ(CountBatches(length, options), ceil(rows)) << about;
          EXPECT_EQ(CountBatches(length, whole), rows / B) << about;
          EXPECT_EQ(Positions(length, options).samples(), rows) << about;
          EXPECT_EQ(Positions(length, options).left_out(), 0) << about;
          EXPECT_EQ(Positions(length, whole).samples(), rows / B * B) << about;
          EXPECT_EQ(Positions(length, whole).left_out(), rows % B) << about;
          const int64_t n = std::max<int64_t>(0, length / S * S - S);
          EXPECT_EQ(CountBatches(length, {.batch = B, .seq = S, .layout = Layout::kOverlap}), ceil(n));
          EXPECT_EQ(CountBatches(length, {.batch = B, .seq = S, .layout = Layout::kOverlap, .drop_last = true}), n / B);
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

TEST(Batches, RowsThatDoNotFillABatchMakeASmallerOne) {
  const TextBatches batches = Positions(100, {.batch = 4, .seq = 4, .stride = 10});  // 10 rows
  ASSERT_EQ(batches.count(), 3);
  const Batch last = batches.Get(2);
  ASSERT_EQ(last.x.sizes(), at::IntArrayRef({2, 4}));
  EXPECT_EQ(At(last.x, 1, 0), 90);
  EXPECT_EQ(At(last.y, 1, 3), 94);
  EXPECT_EQ(Positions(40, {.batch = 64, .seq = 4, .stride = 10}).rows(), 4);  // fewer than a batch
}

TEST(TensorBatches, RowsThatDoNotFillABatchMakeASmallerOneOrAreLeftOut) {
  const at::Tensor x = at::arange(10, c10::kLong), y = at::where(x.lt(7), x, at::full_like(x, -100));
  const auto all = *TensorBatches::Make(x, y, {.batch = 4});
  EXPECT_EQ(all->count(), 3);
  EXPECT_EQ(all->samples(), 10);
  EXPECT_EQ(all->left_out(), 0);
  EXPECT_EQ(all->epoch_targets(), 7);
  EXPECT_TRUE(at::equal(all->Get(2).x, at::arange(8, 10, c10::kLong)));
  const auto whole = *TensorBatches::Make(x, y, {.batch = 4, .drop_last = true});
  EXPECT_EQ(whole->count(), 2);
  EXPECT_EQ(whole->samples(), 8);
  EXPECT_EQ(whole->left_out(), 2);
  EXPECT_THROW(whole->Get(2), c10::Error);
  EXPECT_FALSE(TensorBatches::Make(x, y, {.batch = 11}).ok());
}

TEST(TensorBatches, AnOrderOfEachEpochsOwnHasEveryRowOnce) {
  const at::Tensor x = at::arange(10, c10::kLong);
  const auto batches = *TensorBatches::Make(x, x * 2, {.batch = 4, .shuffle = true, .seed = 3});
  const auto rows = [&](int64_t epoch) {
    batches->SetEpoch(epoch);
    std::vector<at::Tensor> parts;
    for (int64_t i = 0; i < batches->count(); ++i) {
      EXPECT_TRUE(at::equal(batches->Get(i).x * 2, batches->Get(i).y));
      parts.push_back(batches->Get(i).x);
    }
    return at::cat(parts);
  };
  const at::Tensor first = rows(0);
  EXPECT_TRUE(at::equal(std::get<0>(first.sort()), x));
  EXPECT_FALSE(at::equal(first, x));
  EXPECT_FALSE(at::equal(rows(1), first));
  EXPECT_TRUE(at::equal(rows(0), first));
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
    for (int64_t b = 0; b < batch.x.size(0); ++b) starts.push_back(At(batch.x, b, 0));
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
