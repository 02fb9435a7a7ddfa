// What the times of an update hold and what they do not (guard G15).
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/engine/temporary_folder.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

constexpr double kSlow = 0.4;  // seconds, far above what one of these updates takes

void Sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// All that is timed adds up, and nothing is negative but for rounding.
void ExpectWhole(const StepRecord& record) {
  EXPECT_NEAR(Sum(record.phases), record.seconds, 1e-9);
  EXPECT_NEAR(Sum(record.phases) + Sum(record.between), record.wall_seconds, 0.02 * record.wall_seconds);
  for (const PhaseSeconds* phases : {&record.phases, &record.between}) {
    for (size_t i = 0; i < phases->size(); ++i) EXPECT_GE((*phases)[i], -1e-9) << kPhaseNames[i];
  }
}

TEST(StepAnatomyG15, PhasesAddUpToTheWallTimeOfEveryUpdate) {
  Tiny tiny({.options = {.train = {.epochs = 2, .accumulate = 4}, .tscore = {.every = 1}}});
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(tiny.notes->steps.size(), 8u);
  double wall = 0;
  for (const StepRecord& record : tiny.notes->steps) {
    ExpectWhole(record);
    wall += record.wall_seconds;
    for (const Phase phase : {Phase::kData, Phase::kForward, Phase::kBackward, Phase::kTScore, Phase::kOptimizer})
      EXPECT_GT(SecondsOf(record.phases, phase), 0);
    EXPECT_EQ(SecondsOf(record.phases, Phase::kTransfer), 0) << "the data is where the model is";
  }
  EXPECT_LE(wall, result->seconds);
  EXPECT_GT(SecondsOf(tiny.notes->steps[4].between, Phase::kEval), 0) << "the eval between the epochs";
  EXPECT_EQ(SecondsOf(tiny.notes->steps[5].between, Phase::kEval), 0);
}

TEST(StepAnatomyG15, AMicroBatchIsOneForwardAndBackwardOfTheFourInAnUpdate) {
  Tiny tiny({.options = {.train = {.accumulate = 4, .max_steps = 3}, .eval = {.off = true}}});
  tiny.loss = [inner = tiny.loss](const data::Batch& batch) {
    Sleep(0.05);
    return inner(batch);
  };
  ASSERT_TRUE(tiny.Start().Run().ok());
  for (const StepRecord& record : tiny.notes->steps) {
    EXPECT_GE(MicroSeconds(record), 0.05);
    EXPECT_GE(record.seconds, 0.2);
    EXPECT_LE(4 * MicroSeconds(record), record.seconds);
  }
}

TEST(StepAnatomyG15, ASlowSaveChangesTheTimeOfTheSaveAlone) {
  const TemporaryFolder folder;
  Tiny tiny({.options = {.train = {.max_steps = 6}, .eval = {.off = true}}});
  tiny.Start();
  const std::shared_ptr<RunDirectory> run = *RunDirectory::Claim(folder.path(), "tiny");
  tiny.trainer->SaveTo(run, {.every_steps = 3}, []() -> absl::StatusOr<nlohmann::json> {
    Sleep(kSlow);
    return nlohmann::json::object();
  });
  ASSERT_TRUE(tiny.trainer->Run().ok());
  for (const StepRecord& record : tiny.notes->steps) {
    ExpectWhole(record);
    const double save = SecondsOf(record.between, Phase::kSave);
    EXPECT_EQ(save > 0, record.step == 4) << record.step;
    if (save > 0) {
      EXPECT_GE(save, kSlow);
      EXPECT_GE(record.wall_seconds, kSlow + record.seconds);
      EXPECT_FALSE(record.counted);
    }
  }
}

TEST(StepAnatomyG15, ASlowObserverIsInTheTimeOfTheLog) {
  Tiny tiny({.options = {.train = {.max_steps = 3}, .eval = {.off = true}}});
  tiny.notes->on_step = [](const StepRecord& record, Control*) {
    if (record.step == 1) Sleep(kSlow);
    return absl::OkStatus();
  };
  ASSERT_TRUE(tiny.Start().Run().ok());
  EXPECT_GE(SecondsOf(tiny.notes->steps[1].between, Phase::kLog), kSlow);
  for (const StepRecord& record : tiny.notes->steps) ExpectWhole(record);
}

}  // namespace
}  // namespace lanthorn::train
