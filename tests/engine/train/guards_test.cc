// What stops a training: the guards of engine/train/guards/README.md, and what measuring leaves behind.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <limits>

#include "engine/base/memory/memory.h"
#include "engine/tscore/recorder.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

const InitialLoss kLnV = {.expected = std::log(kVocabulary)};

// A model whose logits are far too large.
void Spoil(Tiny& tiny) {
  const at::NoGradGuard no_grad;
  tiny.model->Child("head")->Own("weight").mul_(60);
}

TEST(InitialLossG05, PassesAFreshModelAndStopsLargeLogits) {
  Tiny fresh;
  const auto measured = fresh.Start().Measure(kLnV);
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_NEAR(measured->first_loss, std::log(kVocabulary), 0.5);
  EXPECT_GT(measured->step_s, 0);
  Tiny spoiled;
  Spoil(spoiled);
  ExpectStatus(spoiled.Start().Measure(kLnV).status(), ExitCode::kNumerics,
               {"G05 init_loss", "expected 1.792", "guards.init_loss=off", "train.expect_loss="});
}

TEST(InitialLossG05, CanBeOffOrExpectAnotherLoss) {
  Tiny tiny;
  Spoil(tiny);
  Trainer& trainer = tiny.Start();
  const auto off = trainer.Measure({.guard = false, .expected = std::log(kVocabulary)});
  ASSERT_TRUE(off.ok()) << off.status();
  EXPECT_TRUE(trainer.Measure({}).ok());
  EXPECT_TRUE(trainer.Measure({.expected = off->first_loss}).ok());
}

TEST(InitialLossG05, ReachesTenPercentOfALargeExpectation) {
  Tiny tiny;
  tiny.loss = [model = tiny.model](const data::Batch& batch) -> absl::StatusOr<Loss> {
    return Loss{model->Forward(batch.x, nullptr).sum() * 0 + 108.0, 1};
  };
  Trainer& trainer = tiny.Start();
  EXPECT_TRUE(trainer.Measure({.expected = 100}).ok());
  EXPECT_FALSE(trainer.Measure({.expected = 95}).ok());
}

TEST(Measure, ChangesNeitherParametersNorRandomStateNorGradients) {
  for (const bool fires : {false, true}) {
    Tiny tiny({.dropout = 0.4, .options = {.tscore = {.every = 1}}});
    if (fires) Spoil(tiny);
    Trainer& trainer = tiny.Start();
    const auto values = tiny.Values();
    const at::Tensor random = at::detail::getDefaultCPUGenerator().get_state();
    EXPECT_EQ(trainer.Measure(kLnV).ok(), !fires);
    EXPECT_TRUE(Equal(values, tiny.Values()));
    EXPECT_TRUE(at::equal(random, at::detail::getDefaultCPUGenerator().get_state()));
    for (const auto& parameter : tiny.model->Parameters())
      EXPECT_FALSE(parameter.tensor.grad().defined()) << parameter.name;
    EXPECT_EQ(tiny.optimizer->steps(), 0);
  }
}

TEST(Measure, CountsTheMemoryOfTheStepNotOfWhatCameBefore) {
  memory::Install();
  { const at::Tensor large = at::ones({16 << 20}); }  // 64 MiB, long gone
  Tiny tiny;
  const auto measured = tiny.Start().Measure(kLnV);
  ASSERT_TRUE(measured.ok());
  EXPECT_GT(measured->activation_bytes, 1000);
  EXPECT_LT(measured->activation_bytes, 4 << 20);
}

// The loss, multiplied by `factor` from step `from` on.
LossFn Poisoned(Tiny& tiny, int64_t from, double factor) {
  auto count = std::make_shared<int64_t>(0);
  return [inner = tiny.loss, count, from, factor](const data::Batch& batch) -> absl::StatusOr<Loss> {
    auto loss = inner(batch);
    if (++*count >= from) loss->mean = loss->mean * factor;
    return loss;
  };
}

TEST(NonfiniteG23, StopsAtTheUpdateOfANanLossBeforeItIsApplied) {
  Tiny tiny;
  tiny.loss = Poisoned(tiny, 4, std::numeric_limits<double>::quiet_NaN());
  ExpectStatus(tiny.Start().Run().status(), ExitCode::kNumerics, {"G23 nonfinite", "the loss is nan at update 4"});
  EXPECT_EQ(tiny.notes->steps.size(), 3u);
  for (const at::Tensor& value : tiny.Values()) EXPECT_TRUE(at::isfinite(value).all().item<bool>());
}

TEST(NonfiniteG23, NamesTheParameterOfABadGradient) {
  Tiny tiny;
  tiny.loss = [inner = tiny.loss, model = tiny.model](const data::Batch& batch) -> absl::StatusOr<Loss> {
    auto loss = inner(batch);
    const at::Tensor zero = model->Child("head")->Own("bias") * 0;
    loss->mean = loss->mean + at::sqrt(zero).sum() * 0;  // finite, its gradient is not
    return loss;
  };
  ExpectStatus(tiny.Start().Run().status(), ExitCode::kNumerics, {"G23 nonfinite", "'head.bias'", "update 1"});
}

TEST(NonfiniteG23, RefusesANanBeforeTraining) {
  Tiny tiny;
  tiny.loss = Poisoned(tiny, 1, std::numeric_limits<double>::quiet_NaN());
  ExpectStatus(tiny.Start().Measure({}).status(), ExitCode::kNumerics,
               {"G23 nonfinite: the loss is nan before the first update"});
}

TEST(NonfiniteG23, NamesTheBadTermBeforeTraining) {
  Tiny tiny;
  tiny.loss = [inner = tiny.loss](const data::Batch& batch) -> absl::StatusOr<Loss> {
    auto loss = inner(batch);
    const at::Tensor task = loss->mean, penalty = task * std::numeric_limits<double>::infinity();
    return Loss{task + penalty, loss->targets, {{"penalty", penalty}, {"task", task}}};
  };
  ExpectStatus(tiny.Start().Measure({}).status(), ExitCode::kNumerics,
               {"G23 nonfinite: loss term 'penalty' is inf before the first update (loss inf, task 1."});
}

TEST(DeadParameterG30, NamesADetachedLayer) {
  Tiny tiny;
  tiny.loss = [model = tiny.model](const data::Batch& batch) -> absl::StatusOr<Loss> {
    const at::Tensor hidden =
        model->Child("rnn")->Forward(model->Child("embed")->Forward(batch.x, nullptr).detach(), nullptr);
    const at::Tensor logits = model->Child("head")->Forward(hidden, nullptr);
    return Loss{at::cross_entropy_loss(logits.reshape({-1, kVocabulary}), batch.y.reshape(-1)), batch.y.numel()};
  };
  const absl::Status status = tiny.Start().Run().status();
  ExpectStatus(status, ExitCode::kNumerics, {"G30 dead_parameter", "embed.weight"});
  EXPECT_EQ(MessageOf(status).find("rnn."), std::string::npos) << status;
}

TEST(DeadParameterG30, FiresOnALearningRateOfZero) {
  Tiny tiny({.lr = 0});
  ExpectStatus(tiny.Start().Run().status(), ExitCode::kNumerics,
               {"G30 dead_parameter", "after 10 updates", "learning rate 0"});
}

TEST(LossContract, AConstantOrAVectorIsRefused) {
  Tiny constant;
  constant.loss = [](const data::Batch&) -> absl::StatusOr<Loss> { return Loss{at::ones({}), 1}; };
  ExpectStatus(constant.Start().Run().status(), ExitCode::kNumerics, {"does not depend on any trainable parameter"});
  Tiny vector;
  vector.loss = [model = vector.model](const data::Batch& batch) -> absl::StatusOr<Loss> {
    return Loss{model->Forward(batch.x, nullptr), 1};
  };
  ExpectStatus(vector.Start().Run().status(), ExitCode::kScript, {"one element"});
}

TEST(FailedForward, LeavesNoRecorderOpen) {
  Tiny tiny({.options = {.tscore = {.every = 1}}});
  const LossFn inner = tiny.loss;
  bool fail = true;
  tiny.loss = [&](const data::Batch& batch) -> absl::StatusOr<Loss> {
    const auto loss = inner(batch);
    TORCH_CHECK(!fail, "the forward went wrong");
    return loss;
  };
  Trainer& trainer = tiny.Start();
  EXPECT_THROW((void)trainer.Measure(kLnV), c10::Error);
  EXPECT_EQ(tscore::Recorder::Current(), nullptr);
  fail = false;
  EXPECT_TRUE(trainer.Measure(kLnV).ok());
}

TEST(FailedForward, OutOfMemoryLeavesTheTrainerUsable) {
  memory::Install();
  Tiny tiny({.options = {.tscore = {.every = 1}}});
  Trainer& trainer = tiny.Start();
  const int64_t limit = memory::Limit();
  memory::SetLimit(memory::TensorBytes() + 3000);
  EXPECT_THROW((void)trainer.Measure(kLnV), memory::OutOfMemory);
  memory::SetLimit(limit);
  EXPECT_EQ(tscore::Recorder::Current(), nullptr);
  const auto result = trainer.Run();
  EXPECT_TRUE(result.ok()) << result.status();
}

}  // namespace
}  // namespace lanthorn::train
