#include "engine/base/memory/memory.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "engine/base/memory/block_cache.h"

namespace lanthorn::memory {
namespace {

constexpr int64_t kMiB = 1 << 20;

class TensorMemory : public testing::Test {
 protected:
  TensorMemory() {
    Install();
    limit_ = Limit();
  }
  ~TensorMemory() override { SetLimit(limit_); }
  int64_t limit_;
};

TEST_F(TensorMemory, CountsWhatIsAliveAndThePeak) {
  const int64_t before = TensorBytes();
  {
    const at::Tensor tensor = at::empty({kMiB});  // 4 MiB
    EXPECT_EQ(TensorBytes() - before, 4 * kMiB);
    const at::Tensor view = tensor.view({1024, -1});
    EXPECT_EQ(TensorBytes() - before, 4 * kMiB);
    EXPECT_GE(TensorPeakBytes(), before + 4 * kMiB);
  }
  EXPECT_EQ(TensorBytes(), before);
  EXPECT_GE(TensorPeakBytes(), before + 4 * kMiB);
}

TEST_F(TensorMemory, CountsAllocationsAndTheLargeOnesAmongThem) {
  const int64_t all = Allocations(), large = LargeAllocations();
  const at::Tensor small = at::empty({4}, c10::kByte), below = at::empty({kLargeBytes / 2}, c10::kByte);
  EXPECT_EQ(Allocations() - all, 2);
  EXPECT_EQ(LargeAllocations() - large, 0);
  const at::Tensor big = at::empty({kLargeBytes}, c10::kByte), view = big.view({2, -1});
  EXPECT_EQ(Allocations() - all, 3);
  EXPECT_EQ(LargeAllocations() - large, 1);
}

TEST_F(TensorMemory, TheCapIsRefusedInWordsAndMemoryWorksAfterwards) {
  const int64_t before = TensorBytes();
  SetLimit(before + 8 * kMiB);
  const at::Tensor first = at::ones({kMiB});
  try {
    at::empty({2 * kMiB});
    ADD_FAILURE() << "the cap was passed";
  } catch (const OutOfMemory& error) {
    EXPECT_EQ(std::string(error.what()).rfind("out of memory: need 8.0 MiB, ", 0), 0u) << error.what();
    EXPECT_NE(std::string(error.what()).find(" in use"), std::string::npos);
  }
  EXPECT_EQ(TensorBytes() - before, 4 * kMiB);  // what was refused is not counted
  const at::Tensor second = at::ones({kMiB});   // exactly to the cap
  EXPECT_EQ(at::equal(first, second), true);
}

TEST_F(TensorMemory, ARefusedOperatorLeavesItsInputsUsable) {
  const at::Tensor a = at::ones({kMiB});
  SetLimit(TensorBytes() + kMiB);
  EXPECT_THROW(a + a, OutOfMemory);
  SetLimit(limit_);
  EXPECT_EQ((a + a).sum().item<float>(), 2 * kMiB);
}

TEST_F(TensorMemory, WhatTheSystemRefusesIsNotCounted) {
  const int64_t before = TensorBytes();
  SetLimit(std::numeric_limits<int64_t>::max());
  EXPECT_ANY_THROW(at::empty({int64_t{1} << 50}));
  EXPECT_EQ(TensorBytes(), before);
}

TEST_F(TensorMemory, BlocksAreAlignedForVectorsAndFreedOnOtherThreads) {
  const int64_t before = TensorBytes();
  at::Tensor tensor = at::empty({1000});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data_ptr()) % 64, 0u);
  std::thread([moved = std::move(tensor)]() mutable { moved.reset(); }).join();
  EXPECT_EQ(TensorBytes(), before);
}

TEST_F(TensorMemory, EmptyTensorsTakeNothing) {
  const int64_t before = TensorBytes();
  const at::Tensor tensor = at::empty({0, 5});
  EXPECT_EQ(TensorBytes(), before);
}

TEST(ParseBytes, ReadsUnitsAndRefusesTheRest) {
  EXPECT_EQ(ParseBytes("4GiB"), int64_t{4} << 30);
  EXPECT_EQ(ParseBytes("512MiB"), 512 * kMiB);
  EXPECT_EQ(ParseBytes("2GB"), 2000000000);
  EXPECT_EQ(ParseBytes("1.5KiB"), 1536);
  EXPECT_EQ(ParseBytes("123"), 123);
  EXPECT_EQ(ParseBytes("7B"), 7);
  for (const char* text : {"", "GiB", "-1GiB", "0", "4 GiB", "4GIB", "4G", "nan", "ten"})
    EXPECT_EQ(ParseBytes(text), 0) << text;
}

TEST(FormatBytes, PicksTheUnit) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(1.2 * 1073741824), "1.2 GiB");
}

TEST(MachineMemory, IsPlausible) {
  EXPECT_GT(MachineBytes(), int64_t{1} << 28);
  EXPECT_GT(ResidentBytes(), kMiB);
  EXPECT_GE(ResidentPeakBytes() + kMiB, ResidentBytes());
}

#if !defined(__SANITIZE_ADDRESS__)  // which has to see every block come and go
TEST_F(TensorMemory, ALargeBlockIsTakenAgain) {
  Install();
  at::Tensor first = at::zeros({3 << 20});  // 12 MiB
  const void* place = first.data_ptr();
  const int64_t fresh = FreshBlocks();
  first.reset();
  for (int i = 0; i < 5; ++i) {
    const at::Tensor again = at::zeros({3 << 20});
    EXPECT_EQ(again.data_ptr(), place);
    EXPECT_EQ(again.count_nonzero().item<int64_t>(), 0);
    again[7].fill_(3);
  }
  EXPECT_EQ(FreshBlocks(), fresh);
}

#endif

TEST(BlockCacheTest, TheOldestBlocksGoWhenTooMuchIsKept) {
  BlockCache cache;
  size_t capacities[3] = {}, capacity = 0;
  void* blocks[3] = {cache.Take(5 << 20, &capacities[0]), cache.Take(9 << 20, &capacities[1]),
                     cache.Take(3 << 20, &capacities[2])};
  for (int i = 0; i < 3; ++i) {
    ASSERT_NE(blocks[i], nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks[i]) % (2 << 20), 0u);
    cache.Give(blocks[i], capacities[i], /*keep=*/13 << 20);
  }
  EXPECT_EQ(cache.kept_bytes(), static_cast<int64_t>(capacities[1] + capacities[2]));  // the first one went
  EXPECT_NE(cache.Take(1 << 20, &capacity), blocks[2]);                                // far too large for it
  EXPECT_EQ(cache.Take(9 << 20, &capacity), blocks[1]);
  EXPECT_EQ(capacity, capacities[1]);
  EXPECT_EQ(cache.fresh_blocks(), 4);
  cache.Release();
  EXPECT_EQ(cache.kept_bytes(), 0);
}

}  // namespace
}  // namespace lanthorn::memory
