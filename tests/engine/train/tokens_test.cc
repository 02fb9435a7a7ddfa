// Tokens are counted from the tensors that went through (guard G17).
#include <gtest/gtest.h>

#include "engine/data/tensors.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

struct SkipsTheSecond final : Observer {
  absl::Status BeforeUpdate(const StepRecord& record, Verdict* verdict) override {
    if (record.step == 2) *verdict = Verdict::kSkip;
    return absl::OkStatus();
  }
};

// 16 rows of 6 targets in batches of 4, of which every second target is masked.
Tiny HalfMasked(FitOptions options) {
  Tiny tiny({.options = std::move(options)});
  const at::Tensor x = at::arange(16 * 6, c10::kLong).remainder(kVocabulary).view({16, 6});
  const at::Tensor even = at::arange(6, c10::kLong).remainder(2).eq(0).expand({16, 6});
  tiny.train = *data::TensorBatches::Make(x, at::where(even, x, at::full_like(x, -100)), {.batch = 4});
  return tiny;
}

TEST(TokensG17, MaskedTargetsGoThroughTheForwardAndGetNoGradient) {
  Tiny tiny = HalfMasked({.eval = {.off = true}});
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(tiny.notes->steps.size(), 4u);
  for (const StepRecord& record : tiny.notes->steps) {
    EXPECT_EQ(record.tokens, 12);
    EXPECT_EQ(record.tokens_total, 12 * record.step);
    EXPECT_EQ(record.tokens_forward_total, 24 * record.step);
  }
  EXPECT_EQ(result->tokens, 48);
}

TEST(TokensG17, AnUpdateOfFourBatchesCountsAllOfThem) {
  Tiny tiny = HalfMasked({.train = {.accumulate = 4}, .eval = {.off = true}});
  ASSERT_TRUE(tiny.Start().Run().ok());
  ASSERT_EQ(tiny.notes->steps.size(), 1u);
  EXPECT_EQ(tiny.notes->steps[0].tokens, 48);
  EXPECT_EQ(tiny.notes->steps[0].tokens_forward_total, 96);
}

TEST(TokensG17, ASkippedUpdateAddsNothingToWhatGotGradient) {
  Tiny tiny = HalfMasked({.eval = {.off = true}});
  tiny.Start().AddObserver(std::make_shared<SkipsTheSecond>());
  ASSERT_TRUE(tiny.trainer->Run().ok());
  const auto& steps = tiny.notes->steps;
  EXPECT_EQ(steps[1].tokens, 0);
  EXPECT_EQ(steps[1].tokens_total, 12);
  EXPECT_EQ(steps[1].tokens_forward_total, 48);
  EXPECT_EQ(steps[3].tokens_total, 36);
  EXPECT_EQ(steps[3].tokens_forward_total, 96);
}

TEST(TokensG17, TargetsThatAreNoClassNumbersAllCount) {
  EXPECT_EQ(CountTargets(at::full({2, 3}, -100.0)), 6);
  EXPECT_EQ(CountTargets(at::full({2, 3}, -100, c10::kLong)), 0);
}

}  // namespace
}  // namespace lanthorn::train
