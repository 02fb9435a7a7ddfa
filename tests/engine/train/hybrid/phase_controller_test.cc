// The published traces of phases, at a confidence that is given; and what ends a block early.
#include "engine/train/hybrid/phase_controller.h"

#include <gtest/gtest.h>

namespace lanthorn::train {
namespace {

HybridOptions Options(int64_t warmup, int64_t full, int64_t predict, double confidence = 1) {
  return {.warmup_steps = warmup,
          .full_steps = full,
          .correct_steps = 5,
          .max_predict = predict,
          .confidence = confidence,
          .fixed_confidence = true};
}

struct Trace {
  std::array<int64_t, 4> counts;
  std::vector<int64_t> predicted;  // lengths of the predicted blocks that began
};

Trace TraceOf(const HybridOptions& options, int64_t steps) {
  PhaseController controller(options);
  Trace trace;
  for (int64_t i = 0; i < steps; ++i) {
    if (controller.begins() && controller.phase() == HybridPhase::kPredict)
      trace.predicted.push_back(controller.length());
    controller.Advance();
  }
  trace.counts = controller.counts();
  return trace;
}

using Counts = std::array<int64_t, 4>;  // warm-up, full, predict, correct

TEST(PhaseController, TracesAreThePublishedOnes) {
  EXPECT_EQ(TraceOf(Options(5, 10, 5), 50).counts, (Counts{5, 10, 20, 15}));
  EXPECT_EQ(TraceOf(Options(5, 10, 5), 200).counts, (Counts{5, 40, 80, 75}));
  const Trace longer = TraceOf(Options(5, 10, 15), 100);
  EXPECT_EQ(longer.counts, (Counts{5, 15, 55, 25}));
  EXPECT_EQ(longer.predicted, (std::vector<int64_t>{13, 12, 10, 10, 10}));
  const Trace long_blocks = TraceOf(Options(100, 20, 80, 0.9), 100 + 20 + 57 + 51 + 44 + 38 + 32 + 5 * 5);
  EXPECT_EQ(long_blocks.predicted, (std::vector<int64_t>{57, 51, 44, 38, 32}));
  HybridOptions below = Options(10, 20, 15, 0.5);
  below.threshold = 0.85;
  EXPECT_EQ(TraceOf(below, 100).counts, (Counts{10, 90, 0, 0}));
}

TEST(PhaseController, AConfidenceThatIsNoNumberCountsAsZero) {
  EXPECT_EQ(TraceOf(Options(5, 10, 5, std::nan("")), 50).counts, (Counts{5, 45, 0, 0}));
}

TEST(PhaseController, AcceptedBlocksRaiseTheConfidenceAndARejectedOneIsFollowedByAFullBlock) {
  HybridOptions options = Options(1, 2, 5, 0.5);
  options.fixed_confidence = false;
  options.threshold = 0.5;
  options.correct_steps = 1;
  PhaseController controller(options);
  const auto advance = [&](int64_t steps) {
    for (int64_t i = 0; i < steps; ++i) controller.Advance();
  };
  advance(3);
  ASSERT_EQ(controller.phase(), HybridPhase::kPredict);
  advance(5);
  ASSERT_EQ(controller.phase(), HybridPhase::kCorrect);
  controller.Judge(true);
  EXPECT_DOUBLE_EQ(controller.confidence(), 0.6);
  advance(1);
  ASSERT_EQ(controller.phase(), HybridPhase::kPredict);
  EXPECT_EQ(controller.consecutive(), 2);
  advance(5);
  controller.Judge(false);
  EXPECT_DOUBLE_EQ(controller.confidence(), 0.48);
  advance(1);
  EXPECT_EQ(controller.phase(), HybridPhase::kFull);
  EXPECT_EQ(controller.length(), 2);
  EXPECT_EQ(controller.consecutive(), 0);
}

TEST(PhaseController, AWarningBeginsALongFullBlockAndAnotherOne) {
  PhaseController controller(Options(1, 2, 5));
  for (int64_t i = 0; i < 4; ++i) controller.Advance();
  ASSERT_EQ(controller.phase(), HybridPhase::kPredict);
  EXPECT_FALSE(controller.Raise(Alarm::kCaution));
  ASSERT_EQ(controller.phase(), HybridPhase::kPredict);
  EXPECT_FALSE(controller.Raise(Alarm::kWarning));
  EXPECT_EQ(controller.phase(), HybridPhase::kFull);
  EXPECT_EQ(controller.length(), 4);
  for (int64_t i = 0; i < 4; ++i) controller.Advance();
  EXPECT_EQ(controller.phase(), HybridPhase::kFull);
  EXPECT_EQ(controller.length(), 2);
  for (int64_t i = 0; i < 2; ++i) controller.Advance();
  EXPECT_EQ(controller.phase(), HybridPhase::kPredict);
}

TEST(PhaseController, ThreeCriticalAlarmsWithinAHundredStepsAreTooMany) {
  PhaseController controller(Options(1, 2, 5));
  EXPECT_FALSE(controller.Raise(Alarm::kCritical));
  for (int64_t i = 0; i < 60; ++i) controller.Advance();
  EXPECT_FALSE(controller.Raise(Alarm::kCritical));
  for (int64_t i = 0; i < 60; ++i) controller.Advance();
  EXPECT_FALSE(controller.Raise(Alarm::kCritical));  // the first is long ago
  EXPECT_TRUE(controller.Raise(Alarm::kCritical));
}

TEST(PhaseController, ItsStateGoesOnWhereItWas) {
  const HybridOptions options = Options(5, 10, 15);
  PhaseController whole(options), first(options);
  for (int64_t i = 0; i < 40; ++i) whole.Advance();
  for (int64_t i = 0; i < 23; ++i) first.Advance();
  PhaseController second(options);
  second.Load(first.State());
  for (int64_t i = 23; i < 40; ++i) second.Advance();
  EXPECT_EQ(second.State(), whole.State());
}

TEST(PhaseController, ValuesThatMeanNothingAreConfigErrors) {
  const auto refused = [](HybridOptions options, const char* words) {
    const absl::Status status = PhaseController::Check(options);
    EXPECT_EQ(ExitCodeOf(status), ExitCode::kConfig);
    EXPECT_NE(MessageOf(status).find(words), std::string::npos) << status;
  };
  refused({.warmup_steps = 0}, "warmup_steps must be 1 or more, got 0");
  refused({.full_steps = 0}, "full_steps must be 1 or more, got 0");
  refused({.threshold = 1}, "threshold must be between 0 and 1, got 1");
  refused({.threshold = 0}, "threshold must be between 0 and 1, got 0");
  refused({.max_predict = 0}, "max_predict must be 1 or more");
  refused({.correct_steps = -1}, "correct_steps must not be negative");
  EXPECT_TRUE(PhaseController::Check({}).ok());
}

}  // namespace
}  // namespace lanthorn::train
