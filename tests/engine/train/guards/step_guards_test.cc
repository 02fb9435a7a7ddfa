// The guards that look at every update (guard G36, G37, G43).
#include "engine/train/guards/step_guards.h"

#include <ATen/core/grad_mode.h>

#include "engine/train/guards/learning_check.h"
#include "engine/train/guards/memory_growth.h"
#include "engine/train/guards/protected_check.h"
#include "engine/train/guards/skipped_updates.h"
#include "engine/train/guards/slow_steps.h"
#include "tests/engine/optim/careless.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

// Skips what `which` says.
struct Skipper final : Observer {
  std::function<bool(int64_t)> which;
  explicit Skipper(std::function<bool(int64_t)> f) : which(std::move(f)) {}
  absl::Status BeforeUpdate(const StepRecord& record, Verdict* verdict) override {
    if (which(record.step)) *verdict = Verdict::kSkip;
    return absl::OkStatus();
  }
};

TEST(SkippedUpdatesG36, WarnOfElevenInARowAndStopAtHalfOfTheLastHundred) {
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

TEST(SkippedUpdatesG36, EndATrainingThatSkipsEveryUpdate) {
  Tiny tiny({.options = {.train = {.epochs = 10}}});
  tiny.Start().AddObserver(std::make_shared<Skipper>([](int64_t) { return true; }));
  const auto before = tiny.Values();
  ExpectStatus(tiny.trainer->Run().status(), ExitCode::kNumerics, {"G36 skipped_updates", "at update 100"});
  EXPECT_TRUE(Equal(before, tiny.Values()));
  EXPECT_EQ(tiny.optimizer->steps(), 0);
}

TEST(SkippedUpdatesG36, OneInThreeTrains) {
  Tiny tiny({.options = {.train = {.epochs = 10}}});
  tiny.Start().AddObserver(std::make_shared<Skipper>([](int64_t step) { return step % 3 == 0; }));
  const auto result = tiny.trainer->Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->skipped, result->steps / 3);
  EXPECT_EQ(tiny.optimizer->steps(), result->steps - result->skipped);
}

TEST(LearningCheckG37, AsksOnceAfterTwoHundredUpdatesOrATenthOfThePlan) {
  LearningCheck check(std::log(65), 100);
  for (int64_t step = 1; step < 200; ++step) EXPECT_FALSE(check.Add(step, 4.17));
  const auto found = check.Add(200, 4.168);
  ASSERT_TRUE(found);
  EXPECT_NE(found->message.find("G37 no_learning: the loss is 4.170 nats, guessing gives 4.174"), std::string::npos)
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

TEST(LearningCheckG37, EndsATrainingWhoseLearningRateIsNextToZero) {
  const train::Setup setup{
      .lr = 1e-7, .options = {.train = {.epochs = 20}, .guards = {.uniform_loss = std::log(kVocabulary) - 0.3}}};
  Tiny tiny(setup);
  ExpectStatus(tiny.Start().Run().status(), ExitCode::kNumerics, {"G37 no_learning", "after 200 updates"});
}

TEST(ProtectedCheckG43, NamesTheFirstFrozenParameterThatMoved) {
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

TEST(ProtectedCheckG43, FollowsWhatIsFrozenAndThawedMeanwhile) {
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

TEST(ProtectedCheckG43, AdamWWithDecayAndPrimedMomentumLeavesFrozenParametersAlone) {
  Tiny tiny({.optimizer = "AdamW", .options = {.train = {.max_steps = 30}}});
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

TEST(ProtectedCheckG43, StopsATrainingInWhichAnObserverMovesAFrozenParameter) {
  Tiny tiny;
  at::Tensor bias = tiny.model->Child("head")->Own("bias").set_requires_grad(false);
  tiny.notes->on_step = [&](const StepRecord& record, Control*) {
    if (record.step == 4) bias.mul_(0.5);
    return absl::OkStatus();
  };
  ExpectStatus(tiny.Start().Run().status(), ExitCode::kNumerics, {"G43 protected", "'head.bias'", "update 5"});
}

// Holds back all of one parameter.
struct Hold final : optim::UpdateMask {
  std::string name;
  explicit Hold(std::string held) : name(std::move(held)) {}
  void Prepare(const std::vector<nn::NamedParameter>&, const std::vector<int64_t>&) override {}
  optim::PartMask Of(const nn::NamedParameter& parameter) const override {
    optim::PartMask mask;
    if (parameter.name == name) mask.factors = at::zeros({1});
    return mask;
  }
  bool MayRest(const nn::NamedParameter& parameter) const override { return parameter.name == name; }
  std::vector<nn::NamedParameter> State() const override { return {}; }
};

TEST(ProtectedCheckG43, StopsATrainingWhoseOptimiserIgnoresItsMask) {
  for (const GuardLevel level : {GuardLevel::kError, GuardLevel::kOff}) {
    FitOptions options{.train = {.max_steps = 5}};
    options.guards.levels["protected"] = level;
    Tiny tiny({.options = options});
    tiny.optimizer = std::make_shared<optim::Careless>();
    tiny.optimizer->AddGroup(tiny.model->Parameters(), {{"lr", 0.001}});
    tiny.optimizer->SetMask(std::make_shared<Hold>("head.bias"));
    tiny.trainer = std::make_unique<Trainer>(tiny.model, tiny.loss, tiny.train, tiny.val, tiny.optimizer, options);
    const absl::Status status = tiny.trainer->Run().status();
    EXPECT_EQ(status.ok(), level == GuardLevel::kOff) << status;
    if (level == GuardLevel::kError) {
      ExpectStatus(status, ExitCode::kNumerics,
                   {"G43 protected: update 1 has changed parameter 'head.bias', slice 0, which is not selected"});
    }
  }
}

TEST(ProtectedCheckG43, LetsATrainingGoOnWhoseOptimiserKeepsToItsMask) {
  Tiny tiny({.optimizer = "AdamW", .options = {.train = {.max_steps = 30}}});
  const at::Tensor bias = tiny.model->Child("head")->Own("bias");
  const at::Tensor before = bias.detach().clone();
  tiny.optimizer->SetMask(std::make_shared<Hold>("head.bias"));
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(at::equal(bias, before));
}

TEST(MemoryFloorG04, StopsWhenTheCounterSeesHalfOfWhatMustBeThere) {
  Tiny probe;
  ASSERT_TRUE(probe.Start().Run().ok());
  const int64_t floor = 4 * 4 * probe.model->ParameterCount();  // float32 weights, gradients and two slots of Adam
  EXPECT_GE(MemoryFloor(probe.model->Parameters(), *probe.optimizer), floor);
  for (const double share : {0.5, 1.5}) {
    FitOptions options;
    options.guards.peak_bytes = [=] { return static_cast<int64_t>(share * static_cast<double>(floor)); };
    Tiny tiny({.options = options});
    const absl::Status status = tiny.Start().Run().status();
    EXPECT_EQ(status.ok(), share > 1) << status;
    if (share < 1)
      ExpectStatus(status, ExitCode::kMachine,
                   {"G04 memory_floor: the peak of", "does the model run on another device?"});
  }
}

// Samples at every tenth update of tensors that grow by so many bytes an update, with a sawtooth of garbage on top.
std::vector<MemoryGrowth::Finding> Grow(double slope, int64_t limit) {
  MemoryGrowth growth;
  std::vector<MemoryGrowth::Finding> found;
  for (int64_t step = 10; step <= 1000; step += 10) {
    const int64_t bytes = static_cast<int64_t>(slope * static_cast<double>(step)) + step % 50 * 10'000'000;
    if (auto one = growth.Add(step, 1000 - step, {{{"tensors", bytes, limit}, {"the process", 1, 2}}}))
      found.push_back(*one);
  }
  return found;
}

TEST(MemoryGrowthG31, WarnsOfMoreThanAMegabyteAnUpdateAndIsFatalPastTheLimit) {
  EXPECT_TRUE(Grow(0, 1).empty());
  EXPECT_TRUE(Grow(0.9e6, 1).empty());
  const auto warned = Grow(2e6, int64_t{1} << 40);
  ASSERT_EQ(warned.size(), 3u) << "at 250, 500 and 1000";
  EXPECT_EQ(warned[0].warning.step, 250);
  EXPECT_FALSE(warned[0].fatal);
  EXPECT_NE(warned[0].warning.message.find("memory of tensors grows by 2.0 MB an update"), std::string::npos);
  EXPECT_TRUE(Grow(2e6, 1'000'000'000)[0].fatal);
}

TEST(SlowStepsG16, NameThePhaseThatGrewAndWarnRarely) {
  SlowSteps slow;
  PhaseSeconds phases{};
  const auto add = [&](int64_t step, double data, double forward) {
    phases[static_cast<size_t>(Phase::kData)] = data;
    phases[static_cast<size_t>(Phase::kForward)] = forward;
    return slow.Add(step, data + forward + 0.1, phases);
  };
  for (int64_t step = 1; step <= 30; ++step) EXPECT_FALSE(add(step, 0.1, 1));
  const auto found = add(31, 4, 1.1);
  ASSERT_TRUE(found);
  EXPECT_NE(found->message.find("phase 'data' grew most, by 3.90 s"), std::string::npos) << found->message;
  EXPECT_FALSE(add(32, 4, 1));
  EXPECT_TRUE(add(62, 4, 1));
  EXPECT_FALSE(slow.Trend(62));
}

TEST(SlowStepsG16, ATrainingThatBecomesSlowerIsToldAtItsEnd) {
  for (const double rise : {0.1, 1.0}) {
    SlowSteps slow;
    for (int64_t step = 1; step <= 200; ++step) (void)slow.Add(step, 1 + rise * static_cast<double>(step) / 200, {});
    EXPECT_EQ(slow.Trend(200).has_value(), rise > 0.5);
  }
  SlowSteps cheap;
  for (int64_t step = 1; step <= 200; ++step) EXPECT_FALSE(cheap.Add(step, step < 100 ? 0.001 : 0.01, {}));
  EXPECT_FALSE(cheap.Trend(200)) << "two seconds in all";
}

}  // namespace
}  // namespace lanthorn::train
