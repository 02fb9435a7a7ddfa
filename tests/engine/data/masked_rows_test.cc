// Masked rows: what is masked, what shares a batch, and that both follow from seed, epoch and row.
#include "engine/data/masked_rows.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <set>

namespace lanthorn::data {
namespace {

constexpr int64_t kPad = 0, kMask = 3, kMark = 4;

struct Rows {
  at::Tensor ids, relations, offsets;
};

// Rows of `lengths` tokens: the first third is text, then a mark and facts of relation 1 + row % 3. Ids tell the place.
Rows MakeRows(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> ids, relations, offsets = {0};
  for (size_t row = 0; row < lengths.size(); ++row) {
    for (int64_t t = 0; t < lengths[row]; ++t) {
      const int64_t text = lengths[row] / 3;
      ids.push_back(t == text ? kMark : 10 + static_cast<int64_t>(ids.size()));
      relations.push_back(t < text ? 0 : 1 + static_cast<int64_t>(row) % 3);
    }
    offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  return {at::tensor(ids), at::tensor(relations), at::tensor(offsets)};
}

std::shared_ptr<MaskedRows> Make(const Rows& rows, MaskedOptions options) {
  options.pad = kPad, options.mask = kMask, options.special = {kPad, kMask, kMark};
  const auto made = MaskedRows::Make(rows.ids, rows.relations, rows.offsets, options);
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}

std::vector<int64_t> Lengths(int64_t count) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < count; ++i) lengths.push_back(30 + (i * 37) % 90);
  return lengths;
}

TEST(MaskedRows, PutsTheOriginalsBackTogetherAndMasksNoMark) {
  const Rows rows = MakeRows(Lengths(20));
  const auto batches = Make(rows, {.batch = 6, .seed = 5});
  EXPECT_EQ(batches->count(), 4);
  EXPECT_EQ(batches->samples(), 20);
  std::multiset<int64_t> seen;
  for (int64_t b = 0; b < batches->count(); ++b) {
    const Batch batch = batches->Get(b);
    const at::Tensor ids = batch.x.select(1, 0), relations = batch.x.select(1, 1), masked = batch.y.ne(-100);
    EXPECT_EQ(batch.x.size(0), b < 3 ? 6 : 2);
    EXPECT_TRUE(ids.eq(kMask).eq(masked).all().item<bool>());
    EXPECT_FALSE(batch.y.eq(kMark).any().item<bool>());
    EXPECT_TRUE(relations.masked_select(ids.eq(kPad)).eq(0).all().item<bool>());
    const at::Tensor original = at::where(masked, batch.y, ids);
    for (int64_t i = 0; i < original.numel(); ++i) {
      const int64_t id = original.flatten()[i].item<int64_t>();
      if (id != kPad) seen.insert(id);
    }
    // At least one of the text and eight of the facts of each row.
    const at::Tensor facts = masked.logical_and(relations.gt(0)).sum(1),
                     text = masked.logical_and(relations.eq(0)).sum(1);
    EXPECT_GE(facts.min().item<int64_t>(), 8);
    EXPECT_GE(text.min().item<int64_t>(), 1);
  }
  EXPECT_EQ(static_cast<int64_t>(seen.size()), rows.ids.numel());
}

TEST(MaskedRows, SharesAreKeptOverManyRows) {
  const Rows rows = MakeRows(std::vector<int64_t>(400, 120));
  const auto batches = Make(rows, {.batch = 400, .text_least = 0, .fact_least = 0});
  const Batch batch = batches->Get(0);
  const at::Tensor masked = batch.y.ne(-100), fact = batch.x.select(1, 1).gt(0);
  const auto share = [&](const at::Tensor& of, double tokens) {
    return masked.logical_and(of).sum().item<double>() / tokens;
  };
  EXPECT_NEAR(share(fact, 400 * 79), 0.2, 0.01);
  EXPECT_NEAR(share(fact.logical_not(), 400 * 40), 0.15, 0.01);
}

TEST(MaskedRows, AllFactsAreMaskedWhereThereAreFewerThanTheLeast) {
  const auto batches = Make(MakeRows({6}), {.batch = 1});  // two of text, a mark, three facts
  const Batch batch = batches->Get(0);
  EXPECT_EQ(batch.y.narrow(1, 3, 3).ne(-100).sum().item<int64_t>(), 3);
  EXPECT_EQ(batch.y[0][2].item<int64_t>(), -100);
}

std::vector<at::Tensor> Epoch(MaskedRows* batches, int64_t epoch) {
  std::vector<at::Tensor> all;
  batches->SetEpoch(epoch);
  for (int64_t i = 0; i < batches->count(); ++i) {
    all.push_back(batches->Get(i).x);
    all.push_back(batches->Get(i).y);
  }
  return all;
}

bool Equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  bool equal = a.size() == b.size();
  for (size_t i = 0; equal && i < a.size(); ++i) equal = at::equal(a[i], b[i]);
  return equal;
}

TEST(MaskedRows, BatchesAreAFunctionOfSeedEpochAndNumber) {
  const Rows rows = MakeRows(Lengths(40));
  const auto one = Make(rows, {.batch = 4, .seed = 1}), again = Make(rows, {.batch = 4, .seed = 1}),
             other = Make(rows, {.batch = 4, .seed = 2});
  const auto first = Epoch(one.get(), 0), second = Epoch(one.get(), 1);
  EXPECT_TRUE(Equal(Epoch(again.get(), 1), second));
  EXPECT_TRUE(Equal(Epoch(again.get(), 0), first));  // also going back
  EXPECT_FALSE(Equal(first, second));
  EXPECT_FALSE(Equal(Epoch(other.get(), 0), first));
}

// A row is masked alike in whatever batch it is, and static masks stay from epoch to epoch.
TEST(MaskedRows, AMaskBelongsToItsRow) {
  const Rows rows = MakeRows(std::vector<int64_t>(12, 40));
  const auto single = Make(rows, {.batch = 1, .shuffle = false, .seed = 3}),
             four = Make(rows, {.batch = 4, .shuffle = false, .bucket = false, .seed = 3}),
             fixed = Make(rows, {.batch = 12, .shuffle = false, .redraw = false, .seed = 3});
  for (int64_t row = 0; row < 12; ++row)
    EXPECT_TRUE(at::equal(single->Get(row).y[0], four->Get(row / 4).y[row % 4])) << row;
  EXPECT_TRUE(Equal(Epoch(fixed.get(), 0), Epoch(fixed.get(), 7)));
  EXPECT_FALSE(Equal(Epoch(four.get(), 0), Epoch(four.get(), 7)));
}

TEST(MaskedRows, RowsOfAboutOneLengthShareABatch) {
  const Rows rows = MakeRows(Lengths(400));
  const auto padding = [&](bool bucket) {
    const auto batches = Make(rows, {.batch = 8, .bucket = bucket, .seed = 2});
    int64_t padded = 0;
    for (int64_t i = 0; i < batches->count(); ++i)
      padded += batches->Get(i).x.select(1, 0).eq(kPad).sum().item<int64_t>();
    return padded;
  };
  EXPECT_LT(5 * padding(true), padding(false));
}

TEST(MaskedRows, WrongRowsAreRefused) {
  const Rows rows = MakeRows({5, 6});
  const auto message = [](const Rows& of, const MaskedOptions& options) {
    return MessageOf(MaskedRows::Make(of.ids, of.relations, of.offsets, options).status());
  };
  EXPECT_EQ(message(rows, {.batch = 0}), "data.masked: batch must be at least 1, got 0");
  EXPECT_EQ(message(rows, {.text_share = 1}), "data.masked: text_share must be from 0 to below 1, got 1");
  EXPECT_EQ(message(rows, {.batch = 8}), "data.masked: 2 rows are fewer than one batch of 8; use a smaller batch");
  EXPECT_EQ(message({rows.ids, rows.relations.narrow(0, 0, 9), rows.offsets}, {.batch = 1}),
            "data.masked: 11 ids, but 9 relations");
  EXPECT_EQ(message({rows.ids, rows.relations, at::tensor({0, 5}, c10::kLong)}, {.batch = 1}),
            "data.masked: offsets must go from 0 to 11, the number of ids");
  EXPECT_EQ(message({rows.ids, rows.relations, at::tensor({0, 0, 11}, c10::kLong)}, {.batch = 1}),
            "data.masked: row 0 is empty");
  EXPECT_EQ(message({rows.ids, rows.relations, at::tensor({0}, c10::kLong)}, {.batch = 1}),
            "data.masked: there is no row");
}

}  // namespace
}  // namespace lanthorn::data
