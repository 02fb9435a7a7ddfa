// Trainings that diverge: what is named and kept, skipping, going back to a checkpoint (guard G23).
#include "engine/train/guards/divergence.h"

#include <filesystem>
#include <limits>
#include <map>

#include "absl/strings/match.h"
#include "tests/engine/temporary_folder.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The loss times `factor` in these calls (1-based).
LossFn Times(const LossFn& inner, double factor, std::function<bool(int64_t)> when) {
  auto count = std::make_shared<int64_t>(0);
  return [=](const data::Batch& batch) -> absl::StatusOr<Loss> {
    auto loss = inner(batch);
    if (at::GradMode::is_enabled() && when(++*count)) loss->mean = loss->mean * factor;
    return loss;
  };
}

std::function<bool(int64_t)> At(int64_t call) {
  return [call](int64_t count) { return count == call; };
}
std::function<bool(int64_t)> From(int64_t call) {
  return [call](int64_t count) { return count >= call; };
}

// Tells what the loop says of guards and rollbacks.
struct GuardNotes final : Observer {
  std::vector<Warning> warnings;
  std::vector<Rollback> rollbacks;
  absl::Status OnWarning(const Warning& warning) override {
    warnings.push_back(warning);
    return absl::OkStatus();
  }
  absl::Status OnRollback(const Rollback& rollback) override {
    rollbacks.push_back(rollback);
    return absl::OkStatus();
  }
};

Setup Rolling(int64_t tries = 3) {
  return {.options = {.eval = {.off = true}, .guards = {.rollback = true, .rollback_tries = tries}}};
}

class DivergenceG23 : public testing::Test {
 protected:
  Trainer& Start(Tiny& tiny, bool save = true) {
    Trainer& trainer = tiny.Start();
    trainer.AddObserver(notes_);
    run_ = *RunDirectory::Claim(folder_.path(), "tiny");
    trainer.DumpTo(run_->path() + "/dumps");
    if (save) trainer.SaveTo(run_, {.every_steps = 5}, nullptr);
    return trainer;
  }

  TemporaryFolder folder_;
  std::shared_ptr<RunDirectory> run_;
  std::shared_ptr<GuardNotes> notes_ = std::make_shared<GuardNotes>();
};

TEST_F(DivergenceG23, NamesTheFirstBadOfThreeTermsAndKeepsTheBatch) {
  Tiny tiny;
  auto count = std::make_shared<int64_t>(0);
  tiny.loss = [inner = tiny.loss, count](const data::Batch& batch) -> absl::StatusOr<Loss> {
    auto loss = inner(batch);
    const at::Tensor task = loss->mean, small = task * 0.1;
    const at::Tensor penalty = ++*count == 7 ? task / 0 : task * 0.01;
    return Loss{task + penalty + small, loss->targets, {{"penalty", penalty}, {"small", small}, {"task", task}}};
  };
  const absl::Status status = Start(tiny).Run().status();
  ExpectStatus(status, ExitCode::kNumerics,
               {"G23 nonfinite: loss term 'penalty' is inf at update 7 (loss inf, small 0.",
                "first bad tensor: the "
                "gradient of 'embed.weight'",
                "dumps/nonfinite-step-7.safetensors"});
  ASSERT_EQ(tiny.notes->steps.size(), 6u);
  EXPECT_EQ(tiny.notes->steps[0].terms.size(), 3u);
  EXPECT_NEAR(tiny.notes->steps[0].terms[0].second, 0.01 * tiny.notes->steps[0].terms[2].second, 1e-6);
  const std::string dump = run_->path() + "/dumps/nonfinite-step-7";
  const auto inputs = ReadSafetensors(dump + ".safetensors");
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  EXPECT_TRUE(at::equal(inputs->tensors[0].second, tiny.train->Get(6).x));
  EXPECT_TRUE(at::equal(inputs->tensors[1].second, tiny.train->Get(6).y));
  const auto state = ReadSafetensors(dump + "-state.safetensors");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_GT(state->tensors.size(), 3 * tiny.model->Parameters().size());
  EXPECT_EQ(CheckpointStore(run_->path(), run_->id()).Newest()->step, 5) << "the last good checkpoint stays the newest";
}

TEST_F(DivergenceG23, GoesBackToTheNewestCheckpointWithASmallerLearningRate) {
  Tiny tiny(Rolling());
  tiny.loss = Times(tiny.loss, kNaN, At(7));
  const auto result = Start(tiny).Run();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(notes_->rollbacks.size(), 1u);
  const Rollback& rollback = notes_->rollbacks[0];
  EXPECT_EQ(rollback.step, 5);
  EXPECT_EQ(rollback.from_step, 7);
  EXPECT_EQ(rollback.lr_factor, 0.5);
  ASSERT_EQ(notes_->warnings.size(), 1u);
  EXPECT_NE(
      notes_->warnings[0].message.find("back to update 5 with 0.5 times the original learning rate (rollback 1 of 3)"),
      std::string::npos)
      << notes_->warnings[0].message;
  EXPECT_EQ(tiny.notes->steps[6].step, 6) << "updates 1 to 6, then 6 again";
  EXPECT_EQ(tiny.notes->steps[5].step, 6);
  EXPECT_EQ(tiny.notes->steps[6].loss, tiny.notes->steps[5].loss) << "the same batch, weights and random state";
  EXPECT_EQ(tiny.notes->steps[6].lr, 0.01);
  EXPECT_EQ(result->steps, tiny.trainer->planned_steps());
  EXPECT_EQ(result->rollbacks, 1);
}

TEST_F(DivergenceG23, BeforeTheFirstSaveItGoesBackToTheStart) {
  Tiny tiny(Rolling());
  tiny.loss = Times(tiny.loss, kNaN, At(3));
  const auto result = Start(tiny).Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(notes_->rollbacks.at(0).step, 0);
}

TEST_F(DivergenceG23, TheFactorsAccumulateUntilTheTriesAreUsedUp) {
  Tiny tiny(Rolling(2));
  tiny.loss = Times(tiny.loss, kNaN, From(7));
  const absl::Status status = Start(tiny).Run().status();
  ExpectStatus(status, ExitCode::kNumerics, {"G23 nonfinite", "2 of 2 rollbacks are used up"});
  ASSERT_EQ(notes_->rollbacks.size(), 2u);
  EXPECT_EQ(notes_->rollbacks[1].lr_factor, 0.25);
  EXPECT_EQ(tiny.optimizer->groups()[0].base_lr, 0.02 * 0.25);
}

TEST_F(DivergenceG23, ACheckpointKeepsTheFactorAndTheTries) {
  Tiny tiny(Rolling());
  tiny.loss = Times(tiny.loss, kNaN, At(7));
  tiny.notes->on_step = [&](const StepRecord& record, Control* control) {
    control->stop = !notes_->rollbacks.empty();
    return absl::OkStatus();
  };
  ASSERT_TRUE(Start(tiny).Run().ok());
  Tiny next(Rolling());
  Trainer& resumed = next.Start();
  ASSERT_TRUE(resumed.Restore(CheckpointStore(run_->path(), run_->id())).ok());
  EXPECT_EQ(next.optimizer->groups()[0].base_lr, 0.01);
  const auto result = resumed.Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->rollbacks, 1);
  EXPECT_EQ(result->lr_factor, 0.5);
}

TEST_F(DivergenceG23, OtherErrorsAreNoReasonToGoBack) {
  Tiny tiny(Rolling());
  tiny.notes->on_step = [](const StepRecord& record, Control*) {
    return record.step == 7 ? NumericsError("G30 dead_parameter: x") : absl::OkStatus();
  };
  ExpectStatus(Start(tiny).Run().status(), ExitCode::kNumerics, {"G30 dead_parameter"});
  EXPECT_TRUE(notes_->rollbacks.empty());
}

TEST_F(DivergenceG23, ALossAboveThreeTimesTheFirstStops) {
  Tiny tiny;
  tiny.loss = Times(tiny.loss, 10, From(9));
  ExpectStatus(
      Start(tiny).Run().status(), ExitCode::kNumerics,
      {"G23 nonfinite: the loss is", "at update 9, more than 3 times the first loss", "guards.loss_spike.ratio=0"});
}

TEST(LossSpikeG23, WaitsForTheEndOfWarmUpAndNeedsAPositiveFirstLoss) {
  EXPECT_TRUE(LossSpike(6, 10, 3, 3, 5));
  EXPECT_FALSE(LossSpike(5, 10, 3, 3, 5));
  EXPECT_FALSE(LossSpike(6, 9, 3, 3, 5));
  EXPECT_FALSE(LossSpike(6, 10, -3, 3, 5));
  EXPECT_FALSE(LossSpike(6, 10, 3, 0, 5));
}

TEST(GradientNormWatchG23, WarnsOfANormFarAboveTheMedianAndRarely) {
  GradientNormWatch watch(20);
  for (int64_t step = 1; step <= 50; ++step) EXPECT_FALSE(watch.Add(step, step == 10 ? 100 : 1)) << step;
  EXPECT_FALSE(watch.Add(51, 19));
  const auto warning = watch.Add(52, 21);
  ASSERT_TRUE(warning);
  EXPECT_NE(warning->message.find("G23 nonfinite: gradient norm 21 at update 52 is 21 times its median 1"),
            std::string::npos)
      << warning->message;
  EXPECT_FALSE(watch.Add(103, 21));
  EXPECT_TRUE(watch.Add(104, 21));
  GradientNormWatch off(0);
  for (int64_t step = 1; step <= 60; ++step) EXPECT_FALSE(off.Add(step, step == 60 ? 1e9 : 1));
}

TEST(GradientNormWatchG23, AdvisesByWhatClippingIsSet) {
  const auto said = [](double clip_norm) {
    GradientNormWatch watch(20, clip_norm);
    for (int64_t step = 1; step <= 60; ++step) watch.Add(step, 0.5);
    return watch.Add(61, 30)->message;
  };
  for (const auto& [clip_norm, advice] : std::map<double, std::string>{
           {0, "consider optim.clip_norm=1, twice the median"},
           {50, "optim.clip_norm=50 is above it and changes nothing; consider optim.clip_norm=1, twice the median"},
           {1,
            "optim.clip_norm=1 made this update 30 times smaller; if it happens often, try a smaller learning rate "
            "or a longer warm-up"}}) {
    EXPECT_TRUE(absl::EndsWith(said(clip_norm), "(guards.grad_norm.ratio=20); " + advice)) << said(clip_norm);
  }
}

TEST_F(DivergenceG23, SkipsSoManyUpdatesInARowAndCountsThem) {
  train::Setup setup{.options = {.guards = {.nonfinite_skip = 2}}};
  Tiny tiny(setup);
  tiny.loss = Times(tiny.loss, kNaN, [](int64_t call) { return call == 3 || call == 7 || call == 8; });
  const auto result = Start(tiny, /*save=*/false).Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->skipped, 3);
  EXPECT_EQ(notes_->warnings.size(), 2u) << "one for each row of skips";
  EXPECT_TRUE(tiny.notes->steps[2].skipped);
  EXPECT_EQ(tiny.notes->steps[2].tokens, 0);
  EXPECT_EQ(tiny.notes->steps.back().skipped_total, 3);
  EXPECT_TRUE(std::isfinite(result->epochs[0].train_loss));
  EXPECT_EQ(tiny.optimizer->steps(), result->steps - 3);

  Tiny stops(setup);
  stops.loss = Times(stops.loss, kNaN, From(3));
  ExpectStatus(Start(stops, /*save=*/false).Run().status(), ExitCode::kNumerics,
               {"at update 5", "the last 2 were skipped already (guards.nonfinite=skip:2)"});
}

TEST(LossTermsG44, OneWithoutGradientStopsUnlessItIsAMonitor) {
  for (const bool monitor : {false, true}) {
    Tiny tiny;
    tiny.loss = [inner = tiny.loss, monitor](const data::Batch& batch) -> absl::StatusOr<Loss> {
      auto loss = inner(batch);
      const at::Tensor penalty = loss->mean.detach() * 0.1;
      return Loss{loss->mean + penalty, loss->targets, {{"penalty", penalty, monitor}}};
    };
    const absl::Status status = tiny.Start().Measure({}).status();
    EXPECT_EQ(status.ok(), monitor) << status;
    if (!monitor)
      ExpectStatus(status, ExitCode::kNumerics, {"G44 idle_term: the loss term 'penalty'", "monitor = true"});
  }
}

TEST(LossTermsG44, AreMeansOverTheTargetsOfAllMicroBatches) {
  Tiny tiny({.options = {.train = {.accumulate = 2}}});
  tiny.loss = [inner = tiny.loss](const data::Batch& batch) -> absl::StatusOr<Loss> {
    auto loss = inner(batch);
    loss->terms = {{"task", loss->mean}};
    return loss;
  };
  ASSERT_TRUE(tiny.Start().Run().ok());
  for (const StepRecord& step : tiny.notes->steps) EXPECT_NEAR(step.terms[0].second, step.loss, 1e-9);
}

// The second half of the batches is of another domain.
class TwoDomains final : public data::Batches {
 public:
  explicit TwoDomains(std::shared_ptr<data::Batches> all) : all_(std::move(all)) {}
  int64_t count() const override { return all_->count(); }
  int64_t rows() const override { return all_->rows(); }
  int64_t targets() const override { return all_->targets(); }
  data::Batch Get(int64_t index) const override {
    data::Batch batch = all_->Get(index);
    batch.domain = 2 * index >= count() ? 1 : 0;
    return batch;
  }

 private:
  std::shared_ptr<data::Batches> all_;
};

TEST(LossSpikeG23, IsMeasuredByWhereADomainBegan) {
  for (const bool runs_away : {false, true}) {
    Tiny tiny({.options = {.train = {.epochs = 1}, .eval = {.off = true}}});
    tiny.train = std::make_shared<TwoDomains>(tiny.train);
    const LossFn inner = tiny.loss;
    int64_t seen = 0;
    tiny.loss = [inner, runs_away, &seen](const data::Batch& batch) -> absl::StatusOr<Loss> {
      auto loss = inner(batch);
      if (batch.domain == 1) loss->mean = loss->mean * (runs_away && ++seen > 3 ? 100.0 : 10.0);
      return loss;
    };
    const absl::Status status = tiny.Start().Run().status();
    if (runs_away) {
      ExpectStatus(status, ExitCode::kNumerics, {"G23 nonfinite: the loss is", "times the first loss"});
    } else {
      EXPECT_TRUE(status.ok()) << status;
    }
  }
}

}  // namespace
}  // namespace lanthorn::train
