#include "engine/device/probe.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace lanthorn::device {
namespace {

constexpr GemmShape kSmall = {32, 16, 24};

TEST(ProbeTest, ARateIsPositiveInEveryLibraryAndTheThreadCountIsPutBack) {
  const int before = at::get_num_threads();
  for (const GemmLibrary library : {GemmLibrary::kOneDnn, GemmLibrary::kLibTorch}) {
    const auto rate = GemmRate(library, GemmType::kFloat, kSmall, /*threads=*/before + 1, /*seconds=*/0);
    ASSERT_TRUE(rate.ok()) << rate.status();
    EXPECT_GT(*rate, 0);
    EXPECT_LT(*rate, 1e16);  // FLOP per second, not per something else
  }
  EXPECT_TRUE(GemmRate(GemmLibrary::kLibTorch, GemmType::kBFloat16, kSmall, 1, 0).ok());
  EXPECT_EQ(at::get_num_threads(), before);
}

TEST(ProbeTest, WhatCannotBeMeasuredIsAUsageError) {
  const auto code = [](const auto& result) { return ExitCodeOf(result.status()); };
  EXPECT_EQ(code(GemmRate(GemmLibrary::kOneDnn, GemmType::kBFloat16, kSmall, 1, 0)), ExitCode::kUsage);
  EXPECT_EQ(code(GemmRate(GemmLibrary::kOneDnn, GemmType::kFloat, kSmall, 0, 0)), ExitCode::kUsage);
  EXPECT_EQ(code(GemmRate(GemmLibrary::kOneDnn, GemmType::kFloat, kSmall, 1, -1)), ExitCode::kUsage);
  EXPECT_EQ(code(GemmRate(GemmLibrary::kOneDnn, GemmType::kFloat, {0, 1, 1}, 1, 0)), ExitCode::kUsage);
  EXPECT_EQ(code(MemoryBandwidth(0, 0)), ExitCode::kUsage);
}

TEST(ProbeTest, BandwidthIsMeasuredInArraysLargerThanTheCacheWhereMemoryAllows) {
  const auto rate = MemoryBandwidth(/*threads=*/1, /*seconds=*/0);
  ASSERT_TRUE(rate.ok()) << rate.status();
  EXPECT_GT(rate->copy, 1e7);
  EXPECT_GT(rate->triad, 1e7);
  EXPECT_LT(rate->copy, 1e14);
  EXPECT_GE(rate->cache_bytes, 0);
  EXPECT_GE(rate->buffer_bytes, int64_t{1} << 20);
  EXPECT_LE(rate->buffer_bytes, int64_t{512} << 20);
}

}  // namespace
}  // namespace lanthorn::device
