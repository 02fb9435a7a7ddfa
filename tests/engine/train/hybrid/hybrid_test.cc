// Trainings that predict some of their updates: what moves, what comes back, and what the same number of plain updates
// gives.
#include "engine/train/hybrid/hybrid.h"

#include <ATen/core/grad_mode.h>

#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

// A loss that is linear in the weights, so that every gradient is the same.
struct Linear {
  at::Tensor weight = at::arange(5, c10::kDouble).set_requires_grad(true);
  at::Tensor slope = at::tensor({0.5, -1.0, 2.0, 0.25, -0.125}, c10::kDouble);
  std::shared_ptr<optim::Optimizer> optimizer = MakeOptimizer("SGD");

  Linear() { optimizer->AddGroup({{"weight", weight}}, OptionsOf("SGD", {{"lr", 0.1}})); }
  void Update() {
    weight.mutable_grad() = slope.clone();
    optimizer->Step();
  }
};

TEST(Predictor, LinearFitGoesOnAsTheUpdatesOfALinearLoss) {
  Linear problem;
  Predictor predictor({.arm = "linear_fit", .gamma = 1}, {{"weight", problem.weight}}, problem.optimizer);
  predictor.BeginBlock();
  for (int i = 0; i < 4; ++i) {
    problem.Update();
    predictor.AfterUpdate();
  }
  const at::Tensor expected = problem.weight.detach() - 0.1 * 7 * problem.slope;
  const double moved = predictor.Predict(7, 0);
  EXPECT_TRUE(at::allclose(problem.weight.detach(), expected, 1e-9, 1e-9));
  EXPECT_NEAR(moved, 0.7 * problem.slope.norm().item<double>(), 1e-9);
  predictor.Restore();
  EXPECT_TRUE(at::allclose(problem.weight.detach(), expected + 0.7 * problem.slope, 1e-12, 1e-12));
}

TEST(Predictor, ARandomDirectionHasTheSameLength) {
  Linear fit, random;
  for (Linear* problem : {&fit, &random}) {
    Predictor predictor({.arm = problem == &fit ? "linear_fit" : "random_dir"}, {{"weight", problem->weight}},
                        problem->optimizer);
    predictor.BeginBlock();
    for (int i = 0; i < 3; ++i) {
      problem->Update();
      predictor.AfterUpdate();
    }
    predictor.Predict(4, 1);
  }
  const at::Tensor before = fit.slope * -0.3 + at::arange(5, c10::kDouble);
  EXPECT_TRUE(at::allclose((fit.weight.detach() - before).abs(), (random.weight.detach() - before).abs(), 1e-9, 1e-9));
  EXPECT_FALSE(at::allclose(fit.weight.detach(), random.weight.detach()));
}

TEST(Predictor, AGammaOfZeroMovesNothing) {
  for (const char* arm : {"extrapolate", "linear_fit"}) {
    Tiny tiny({.options = {.train = {.max_steps = 3}, .eval = {.off = true}}});
    ASSERT_TRUE(tiny.Start().Run().ok());
    Predictor predictor({.arm = arm, .gamma = 0}, tiny.model->Parameters(), tiny.optimizer);
    predictor.BeginBlock();
    predictor.AfterUpdate();
    const std::vector<at::Tensor> before = tiny.Values();
    EXPECT_EQ(predictor.Predict(5, 0), 0) << arm;
    EXPECT_TRUE(Equal(tiny.Values(), before)) << arm;
  }
}

// Updates of Adam without a gradient, one after the other, in float64.
TEST(Predictor, ExtrapolationIsTheSumOfItsSteps) {
  for (const auto type : {c10::kFloat, c10::kDouble}) {
    at::manual_seed(3);
    const at::Tensor p = at::randn({40}).to(type).set_requires_grad(true);
    const auto optimizer = MakeOptimizer("Adam");
    optimizer->AddGroup({{"p", p}}, OptionsOf("Adam", {{"lr", 0.01}}));
    for (int i = 0; i < 5; ++i) {
      p.mutable_grad() = at::randn({40}).to(type);
      optimizer->Step();
    }
    at::Tensor m, v;
    for (const auto& state : optimizer->StateTensors()) {
      if (state.name == "exp_avg/p") m = state.tensor.to(c10::kDouble).clone();
      if (state.name == "exp_avg_sq/p") v = state.tensor.to(c10::kDouble).clone();
    }
    at::Tensor expected = p.detach().to(c10::kDouble).clone();
    for (int j = 1; j <= 6; ++j) {
      m = m * 0.9;
      const at::Tensor mhat = m / (1 - std::pow(0.9, 5)), vhat = v / (1 - std::pow(0.999, 5));
      expected = expected - 0.01 * std::pow(0.8, j) * mhat / (vhat.sqrt() + 1e-8);
    }
    optimizer->Extrapolate(0.8, 6);
    const double tolerance = type == c10::kFloat ? 1e-5 : 1e-10;
    EXPECT_TRUE(at::allclose(p.detach().to(c10::kDouble), expected, tolerance, tolerance));
    for (const auto& state : optimizer->StateTensors()) {
      const at::Tensor value = state.tensor.to(c10::kDouble);
      EXPECT_TRUE(state.name != "exp_avg/p" || at::allclose(value, m, tolerance, tolerance));
      EXPECT_TRUE(state.name != "exp_avg_sq/p" || at::allclose(value, v, 1e-12, 0));
      EXPECT_TRUE(state.name != "step/p" || value.item<double>() == 5);
    }
  }
}

TEST(Predictor, AnOptimiserWithoutMomentsCannotExtrapolate) {
  const auto plain = MakeOptimizer("SGD");
  plain->AddGroup({}, OptionsOf("SGD", {}));
  ExpectStatus(Predictor::Check({}, *plain), ExitCode::kConfig, {"arm extrapolate", "SGD has none here"});
  EXPECT_TRUE(Predictor::Check({.arm = "linear_fit"}, *plain).ok());
  const auto momentum = MakeOptimizer("SGD");
  momentum->AddGroup({}, OptionsOf("SGD", {{"momentum", 0.9}}));
  EXPECT_TRUE(Predictor::Check({}, *momentum).ok());
}

// Monitor and guards are kept out of the way: losses of a tiny model jump.
HybridOptions Small(const std::string& arm) {
  return {.arm = arm,
          .warmup_steps = 2,
          .full_steps = 3,
          .correct_steps = arm == "noop" ? 2 : 1,
          .max_predict = 2,
          .threshold = 0.5,
          .confidence = 1,
          .fixed_confidence = true,
          .sigma = 1e9};
}

Tiny Hybrids(const HybridOptions& hybrid, int64_t steps) {
  Tiny tiny({.options = {.train = {.epochs = 9, .max_steps = steps}, .eval = {.off = true}}});
  tiny.Start();
  EXPECT_TRUE(tiny.trainer->SetHybrid(hybrid).ok());
  EXPECT_TRUE(tiny.trainer->Run().ok());
  return tiny;
}

TEST(Hybrid, TheNoopArmChangesNothingAndIsWhatSoManyPlainUpdatesGive) {
  const Tiny noop = Hybrids(Small("noop"), 13);  // 2 + 3 real ones, then 2 predicted and 2 of correction, twice
  Tiny plain({.options = {.train = {.epochs = 9, .max_steps = 5}, .eval = {.off = true}}});
  ASSERT_TRUE(plain.Start().Run().ok());
  EXPECT_TRUE(Equal(noop.Values(), plain.Values()));
  std::vector<std::string> phases;
  for (const StepRecord& record : noop.notes->steps) {
    const bool real = record.hybrid->phase == HybridPhase::kWarmup || record.hybrid->phase == HybridPhase::kFull;
    EXPECT_EQ(record.backward, real);
    EXPECT_TRUE(record.forward);
    EXPECT_EQ(record.tokens > 0, real);
    phases.push_back(kHybridPhaseNames[static_cast<size_t>(record.hybrid->phase)]);
  }
  EXPECT_EQ(phases, (std::vector<std::string>{"warmup", "warmup", "full", "full", "full", "predict", "predict",
                                              "correct", "correct", "predict", "predict", "correct", "correct"}));
  EXPECT_EQ(noop.optimizer->steps(), 5);
}

TEST(Hybrid, StepsThatArePredictedRunNoForwardAndCountNoTargets) {
  const Tiny tiny = Hybrids(Small("extrapolate"), 11);
  int64_t predicted = 0, forwarded = 0;
  for (const StepRecord& record : tiny.notes->steps) {
    predicted += record.backward ? 0 : 1;
    if (!record.backward) {
      EXPECT_FALSE(record.forward);
      EXPECT_EQ(record.tokens, 0);
      EXPECT_FALSE(HasLoss(record));
    }
    forwarded = record.tokens_forward_total;
  }
  EXPECT_EQ(predicted, 4);
  EXPECT_EQ(tiny.optimizer->steps(), 7);
  EXPECT_EQ(forwarded, 7 * 24);
  EXPECT_EQ(tiny.notes->steps.back().batch, 11);  // batches go on with the steps
  EXPECT_GT(*tiny.notes->steps[5].hybrid->delta_norm, 0);
  EXPECT_FALSE(tiny.notes->steps[6].hybrid->delta_norm);
}

TEST(Hybrid, ARejectedBlockComesBackBitForBit) {
  HybridOptions options = Small("random_dir");
  options.gamma = 1;
  options.probe_worse = 1e-9;  // nothing is that good
  Tiny tiny({.options = {.train = {.epochs = 9, .max_steps = 8}, .eval = {.off = true}}});
  tiny.Start();
  ASSERT_TRUE(tiny.trainer->SetHybrid(options).ok());
  std::vector<at::Tensor> before, after;
  tiny.notes->on_step = [&](const StepRecord& record, Control*) {
    if (record.step == 5) before = tiny.Values();
    EXPECT_FALSE(record.step == 6 && Equal(before, tiny.Values()));
    return absl::OkStatus();
  };
  // The first update of the correction begins from the weights before the block: so do five plain ones and a sixth.
  ASSERT_TRUE(tiny.trainer->Run().ok());
  Tiny plain({.options = {.train = {.epochs = 9, .max_steps = 5}, .eval = {.off = true}}});
  ASSERT_TRUE(plain.Start().Run().ok());
  EXPECT_TRUE(Equal(before, plain.Values()));
  EXPECT_EQ(tiny.trainer->hybrid()->counts().rejected, 1);
  EXPECT_EQ(tiny.notes->steps[7].hybrid->accepted, std::optional(false));
}

TEST(Hybrid, APredictedBlockThatMovesNothingEndsTheTraining) {
  HybridOptions options = Small("linear_fit");
  Tiny tiny({.lr = 0, .options = {.train = {.epochs = 9, .max_steps = 8}, .eval = {.off = true}}});
  tiny.Start();
  ASSERT_TRUE(tiny.trainer->SetHybrid(options).ok());
  ExpectStatus(tiny.trainer->Run().status(), ExitCode::kNumerics, {"G18 noop_phase", "changed no weight"});
}

TEST(Hybrid, ASnapshotInTheMiddleOfAPredictedBlockGoesOnToTheSameWeights) {
  for (const char* arm : {"extrapolate", "linear_fit", "random_dir", "noop"}) {
    for (const int64_t stop : {4, 6, 7, 8, 9}) {
      HybridOptions options = Small(arm);
      options.fixed_confidence = false;
      const train::Setup setup = {.options = {.train = {.epochs = 9, .max_steps = 16}, .eval = {.off = true}}};
      Tiny whole(setup);
      whole.Start();
      ASSERT_TRUE(whole.trainer->SetHybrid(options).ok());
      ASSERT_TRUE(whole.trainer->Run().ok());

      Tiny first(setup);
      first.Start();
      ASSERT_TRUE(first.trainer->SetHybrid(options).ok());
      CheckpointContent content;
      first.notes->on_step = [&](const StepRecord& record, Control* control) {
        control->stop = record.step == stop;
        return absl::OkStatus();
      };
      ASSERT_TRUE(first.trainer->Run().ok());
      content = *first.trainer->Snapshot();
      for (NamedTensors* tensors : {&content.model, &content.optimizer, &content.hybrid}) {
        for (auto& [name, tensor] : *tensors) tensor = tensor.detach().clone();
      }

      auto second = Hybrid::Make(options, whole.model->Parameters(), whole.optimizer, [] { return 1.0; });
      ASSERT_TRUE(second.ok());
      ASSERT_TRUE((*second)->Load(content.hybrid, content.state["hybrid"]).ok()) << arm << " " << stop;
      EXPECT_EQ((*second)->State(), content.state["hybrid"]);
      ASSERT_EQ((*second)->Tensors().size(), content.hybrid.size());
      for (const auto& [name, tensor] : (*second)->Tensors()) {
        bool found = false;
        for (const auto& [other, value] : content.hybrid) found = found || (other == name && at::equal(value, tensor));
        EXPECT_TRUE(found) << arm << " " << stop << " " << name;
      }
    }
  }
}

}  // namespace
}  // namespace lanthorn::train
