// The guards that look at every update (guards.md G36, G37, G43).
#include "engine/train/step_guards.h"

#include <ATen/core/grad_mode.h>

#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

// Skips what `which` says.
struct Skipper final : Observer {
  std::function<bool(int64_t)> which;
  explicit Skipper(std::function<bool(int64_t)> f) : which(std::move(f)) {}
  absl::Status BeforeUpdate(const StepRecord& record, bool* skip) override {
    if (which(record.step)) *skip = true;
    return absl::OkStatus();
  }
};

TEST(SkippedUpdates, WarnOfElevenInARowAndStopAtHalfOfTheLastHundred) {
  SkippedUpdates skips;
  for (int64_t step = 1; step < 100; ++step) {
    const auto found = skips.Add(step, true);
    EXPECT_EQ(found.has_value(), step == 11) << step;
    if (found) {
      EXPECT_FALSE(found->fatal);
      EXPECT_NE(found->warning.message.find("G36 skipped_updates: 11 updates in a row"), std::string::npos);
    }
  }
  const auto found = skips.Add(100, true);
  ASSERT_TRUE(found && found->fatal);
  EXPECT_NE(found->warning.message.find("100 of the last 100 updates were skipped at update 100"), std::string::npos);
  SkippedUpdates third;
  for (int64_t step = 1; step < 1000; ++step) EXPECT_FALSE(third.Add(step, step % 3 == 0)) << step;
}

TEST(SkippedUpdates, EndATrainingThatSkipsEveryUpdate) {
  Tiny tiny({.options = {.epochs = 10}});
  tiny.Start().AddObserver(std::make_shared<Skipper>([](int64_t) { return true; }));
  const auto before = tiny.Values();
  ExpectStatus(tiny.trainer->Run().status(), ExitCode::kNumerics, {"G36 skipped_updates", "at update 100"});
  EXPECT_TRUE(Equal(before, tiny.Values()));
  EXPECT_EQ(tiny.optimizer->steps(), 0);
}

TEST(SkippedUpdates, OneInThreeTrains) {
  Tiny tiny({.options = {.epochs = 10}});
  tiny.Start().AddObserver(std::make_shared<Skipper>([](int64_t step) { return step % 3 == 0; }));
  const auto result = tiny.trainer->Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->skipped, result->steps / 3);
  EXPECT_EQ(tiny.optimizer->steps(), result->steps - result->skipped);
}

TEST(LearningCheck, AsksOnceAfterTwoHundredUpdatesOrATenthOfThePlan) {
  LearningCheck check(std::log(65), 100);
  for (int64_t step = 1; step < 200; ++step) EXPECT_FALSE(check.Add(step, 4.17));
  const auto found = check.Add(200, 4.168);
  ASSERT_TRUE(found);
  EXPECT_NE(found->message.find("G37 no_learning: not learning: 4.170 of 4.174 nats"), std::string::npos)
      << found->message;
  EXPECT_FALSE(check.Add(201, 4.17));
  LearningCheck later(std::log(65), 5000);
  EXPECT_FALSE(later.Add(499, 4.17));
  EXPECT_TRUE(later.Add(500, 4.17));
  LearningCheck learns(std::log(65), 100);
  for (int64_t step = 1; step <= 300; ++step) EXPECT_FALSE(learns.Add(step, step < 100 ? 4.17 : 4.0)) << step;
  LearningCheck resumed(std::log(65), 100);
  resumed.Resume(250);
  EXPECT_FALSE(resumed.Add(251, 9));
}

TEST(LearningCheck, EndsATrainingWhoseLearningRateIsNextToZero) {
  const train::Setup setup{.lr = 1e-7,
                           .options = {.epochs = 20, .guards = {.uniform_loss = std::log(kVocabulary) - 0.3}}};
  Tiny tiny(setup);
  ExpectStatus(tiny.Start().Run().status(), ExitCode::kNumerics, {"G37 no_learning", "after 200 updates"});
}

TEST(ProtectedCheck, NamesTheFirstFrozenParameterThatMoved) {
  std::vector<nn::NamedParameter> parameters;
  for (const char* name : {"free", "first", "second"}) parameters.push_back({name, at::ones({3})});
  parameters[0].tensor.set_requires_grad(true);
  ProtectedCheck check(parameters);
  const at::NoGradGuard no_grad;
  parameters[0].tensor.add_(1);
  EXPECT_FALSE(check.AfterUpdate(1, 1));
  parameters[2].tensor[1].mul_(0.999);
  const auto found = check.AfterUpdate(2, 2);
  ASSERT_TRUE(found);
  EXPECT_NE(found->message.find("G43 protected: frozen parameter 'second' has changed by update 2"), std::string::npos);
  parameters[1].tensor.add_(1);
  EXPECT_FALSE(check.AfterUpdate(21, 21)) << "not looked at between";
  EXPECT_TRUE(check.AfterUpdate(100, 100));
}

TEST(ProtectedCheck, FollowsWhatIsFrozenAndThawedMeanwhile) {
  std::vector<nn::NamedParameter> parameters = {{"a", at::ones({3})}};
  ProtectedCheck check(parameters);
  parameters[0].tensor.set_requires_grad(true);
  EXPECT_FALSE(check.AfterUpdate(1, 1));
  {
    const at::NoGradGuard no_grad;
    parameters[0].tensor.add_(1);
  }
  parameters[0].tensor.set_requires_grad(false);
  EXPECT_FALSE(check.AfterUpdate(2, 2));
  EXPECT_FALSE(check.AfterUpdate(3, 3));
  parameters[0].tensor.add_(1);
  EXPECT_TRUE(check.AfterUpdate(4, 4));
}

TEST(ProtectedCheck, AdamWWithDecayAndPrimedMomentumLeavesFrozenParametersAlone) {
  Tiny tiny({.optimizer = "AdamW", .options = {.max_steps = 30}});
  at::Tensor bias = tiny.model->Child("head")->Own("bias");
  at::Tensor before;
  tiny.notes->on_step = [&](const StepRecord& record, Control*) {
    if (record.step == 12) {
      bias.set_requires_grad(false);
      before = bias.detach().clone();
    }
    return absl::OkStatus();
  };
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(at::equal(bias, before));
}

TEST(ProtectedCheck, StopsATrainingInWhichAnObserverMovesAFrozenParameter) {
  Tiny tiny;
  at::Tensor bias = tiny.model->Child("head")->Own("bias").set_requires_grad(false);
  tiny.notes->on_step = [&](const StepRecord& record, Control*) {
    if (record.step == 4) bias.mul_(0.5);
    return absl::OkStatus();
  };
  ExpectStatus(tiny.Start().Run().status(), ExitCode::kNumerics, {"G43 protected", "'head.bias'", "update 5"});
}

}  // namespace
}  // namespace lanthorn::train
