#include "engine/data/text/leak.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <set>

namespace lanthorn::data {
namespace {

at::Tensor Random(int64_t length, int64_t seed, int64_t vocabulary = 65) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return at::randint(vocabulary, {length}, c10::kLong);
}

Leak SharedBlocks(const at::Tensor& train, const at::Tensor& val, int64_t block = kLeakBlock,
                  int64_t most_tokens = kLeakTokens, int64_t most_blocks = kLeakBlocks) {
  return data::SharedBlocks(TokenIds::FromTensor(train), TokenIds::FromTensor(val), block, most_tokens, most_blocks);
}

TEST(LeakG24, RandomTextsShareNothingAndACopySharesAll) {
  const at::Tensor train = Random(20'000, 1), val = Random(2'000, 2);
  Leak leak = SharedBlocks(train, val);
  EXPECT_EQ(leak.blocks, 2'000 / 64);
  EXPECT_EQ(leak.shared, 0);
  EXPECT_EQ(leak.searched, 1);
  leak = SharedBlocks(train, train.narrow(0, 777, 2'000));  // at no multiple of the block
  EXPECT_EQ(leak.shared, leak.blocks);
}

TEST(LeakG24, CountsTheBlocksThatAStraightSearchFinds) {
  // Few letters and short blocks, so that about half of them occur; a block that stands twice counts twice.
  for (int64_t seed = 1; seed < 6; ++seed) {
    const at::Tensor train = Random(300, seed, 2), val = Random(200, seed + 50, 2);
    const int64_t block = 8;
    const auto words = [&](const at::Tensor& t, int64_t step) {
      std::vector<std::vector<int64_t>> found;
      for (int64_t i = 0; i + block <= t.numel(); i += step)
        found.emplace_back(t.data_ptr<int64_t>() + i, t.data_ptr<int64_t>() + i + block);
      return found;
    };
    const auto known = words(train, 1);
    const std::set<std::vector<int64_t>> in_train(known.begin(), known.end());
    int64_t expected = 0;
    for (const auto& word : words(val, block)) expected += static_cast<int64_t>(in_train.count(word));
    const Leak leak = SharedBlocks(train, val, block);
    EXPECT_EQ(leak.shared, expected) << "seed " << seed;
    EXPECT_GT(leak.shared, 0);
    EXPECT_LT(leak.shared, leak.blocks);
  }
}

TEST(LeakG24, LooksAtPiecesOfLongTextsAndSaysSo) {
  const at::Tensor train = Random(100'000, 1), val = Random(6'400, 2);
  const Leak leak = SharedBlocks(train, val, 64, /*most_tokens=*/10'000, /*most_blocks=*/50);
  EXPECT_EQ(leak.blocks, 50);
  EXPECT_NEAR(leak.searched, 0.1 * 0.5, 0.002);
  EXPECT_GT(SharedBlocks(train, train, 64, 10'000, 200).shared, 5);
}

TEST(LeakG24, TextsShorterThanABlockHaveNone) {
  EXPECT_EQ(SharedBlocks(Random(100, 1), Random(63, 2)).blocks, 0);
  EXPECT_EQ(SharedBlocks(Random(63, 1), Random(100, 2)).shared, 0);
  EXPECT_EQ(SharedBlocks(Random(64, 1), Random(64, 1)).shared, 1);
}

}  // namespace
}  // namespace lanthorn::data
