// The time limit of a run: the projection that stops it early, and the limit itself, by a clock of the test.
#include "engine/train/time_limit.h"

#include <signal.h>

#include "engine/train/signals.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

constexpr double kHour = 3600;

// What a guard says of steps that all take `step_s`, and after which step.
struct Verdict {
  absl::Status status;
  int64_t step = 0;
};
Verdict Judge(const TimeLimit& limit, int64_t steps, double step_s) {
  double now = limit.started;
  BudgetGuard guard(limit, [&] { return now; });
  StepTimer timer;
  Control control;
  for (int64_t step = 1; step <= steps; ++step) {
    now += step_s;
    timer.Add(step_s);
    StepRecord record;
    record.step = step;
    record.steps = steps;
    record.remaining = timer.Remaining(steps - step, 0);
    if (absl::Status status = guard.OnStep(record, &control); !status.ok()) return {status, step};
  }
  return {absl::OkStatus(), steps};
}

TEST(BudgetGuard, StopsAPlanThatIsTooLongAfterTwentyCountedStepsG13) {
  const Verdict verdict = Judge({.seconds = 8 * kHour, .started = 100}, 3000, 100);
  EXPECT_EQ(verdict.step, 25);  // the first five are warm-up
  ExpectStatus(verdict.status, ExitCode::kLimit,
               {"G13 budget: plan needs 83-83 h, limit 8 h (25 of 3000 updates in 41m40s)", "--accept-eta"});
}

TEST(BudgetGuard, LetsAPlanThatFitsAnAcceptedOneAndOneWithoutALimitGoOn) {
  EXPECT_TRUE(Judge({.seconds = 84 * kHour}, 3000, 100).status.ok());
  EXPECT_TRUE(Judge({.seconds = 8 * kHour, .accept = true}, 3000, 100).status.ok());
  EXPECT_TRUE(Judge({}, 3000, 100).status.ok());
  EXPECT_TRUE(Judge({.seconds = 1}, 24, 100).status.ok());  // over before there is a projection: the limit's business
}

TEST(BudgetGuard, CountsWhatWasSpentBeforeTheFirstStep) {
  double now = 500;
  BudgetGuard guard({.seconds = 600, .started = 0}, [&] { return now; });
  Control control;
  StepRecord record;
  record.remaining = Interval{90, 100, 120};
  EXPECT_TRUE(guard.OnStep(record, &control).ok());
  BudgetGuard stricter({.seconds = 580, .started = 0}, [&] { return now; });
  ExpectStatus(stricter.OnStep(record, &control), ExitCode::kLimit, {"plan needs 9.8-10 min, limit 9.67 min"});
}

TEST(BudgetGuard, OnlyTheFirstProjectionCounts) {
  double now = 0;
  BudgetGuard guard({.seconds = 100}, [&] { return now; });
  Control control;
  StepRecord record;
  record.remaining = Interval{50, 60, 70};
  ASSERT_TRUE(guard.OnStep(record, &control).ok());
  now = 90;
  EXPECT_TRUE(guard.OnStep(record, &control).ok());
}

TEST(FormatRange, TakesTheUnitOfTheLargerNumber) {
  EXPECT_EQ(FormatRange(2, 2.6), "2.0-2.6 s");
  EXPECT_EQ(FormatRange(100, 300), "1.7-5.0 min");
  EXPECT_EQ(FormatRange(74 * kHour, 88 * kHour), "74-88 h");
}

TEST(TimeLimit, EndsTheTrainingAtAStepBoundary) {
  Tiny tiny({.options = {.train = {.epochs = 3}, .limit = {.seconds = 1000, .started = Now()}}});
  Trainer& trainer = tiny.Start();
  const auto whole = trainer.Run();
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->state, "FINISHED");
  EXPECT_EQ(whole->code, 0);

  Tiny late({.options = {.limit = {.seconds = 1, .started = Now() - 2}}});
  const auto cut = late.Start().Run();
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->state, "TIMEOUT");
  EXPECT_EQ(cut->code, 7);
  EXPECT_EQ(cut->steps, 0);
  EXPECT_NE(cut->reason.find("time limit: 0 of 16 updates in"), std::string::npos) << cut->reason;
}

TEST(TimeLimit, IsCheckedBetweenTheBatchesOfAnEval) {
  Tiny tiny;
  Trainer& trainer = tiny.Start();
  int64_t asked = 0;
  const auto partial = trainer.Evaluate([&] { return ++asked > 2; });
  ASSERT_TRUE(partial.ok());
  EXPECT_EQ(partial->batches, 2);
  EXPECT_GT(partial->of, 2);
}

TEST(StoppedTraining, SaysWhichSignalAfterHowManyUpdates) {
  const SignalScope scope;
  Tiny tiny;
  tiny.notes->on_step = [](const StepRecord& record, Control*) {
    if (record.step == 3) raise(SIGUSR2);
    return absl::OkStatus();
  };
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->state, "PREEMPTED");
  EXPECT_EQ(result->code, 75);
  EXPECT_EQ(result->signal, SIGUSR2);
  EXPECT_EQ(result->steps, 3);
  EXPECT_EQ(result->reason, "SIGUSR2 after 3 of 16 updates");
  EXPECT_TRUE(tiny.notes->evals.empty());
  EXPECT_EQ(tiny.notes->signals, (std::vector<std::pair<int, int64_t>>{{SIGUSR2, 3}}));
}

TEST(StoppedTraining, AnEvalThatIsCutLeavesNoResult) {
  const SignalScope scope;
  Tiny tiny;
  tiny.notes->on_part = [](int64_t done) {
    if (done == 2) raise(SIGTERM);
  };
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok());
  EXPECT_NE(result->code, 0);
  EXPECT_EQ(result->steps, 16);
  EXPECT_TRUE(tiny.notes->evals.empty());
  EXPECT_TRUE(result->epochs.empty());
  EXPECT_FALSE(result->best.has_value());
}

TEST(StoppedTraining, ASaveRequestIsToldAndTrainingGoesOn) {
  const SignalScope scope;
  Tiny tiny;
  tiny.notes->on_step = [](const StepRecord& record, Control*) {
    if (record.step == 3) raise(SIGUSR1);
    return absl::OkStatus();
  };
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->state, "FINISHED");
  EXPECT_EQ(tiny.notes->signals, (std::vector<std::pair<int, int64_t>>{{SIGUSR1, 3}}));
}

}  // namespace
}  // namespace lanthorn::train
