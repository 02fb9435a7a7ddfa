// k micro-batches of B rows are one batch of k B rows: loss, update, T-Score and records.
#include <gtest/gtest.h>

#include "engine/data/tensors.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

// 16 batches of 4 rows, or 5 batches of 12 with the rest left out: the same rows in the same order.
Tiny Small(FitOptions options, const std::string& optimizer = "SGD") {
  return Tiny({.lr = 0.1, .optimizer = optimizer, .options = std::move(options)});
}
Tiny Large(FitOptions options, const std::string& optimizer = "SGD") {
  Tiny tiny({.lr = 0.1, .optimizer = optimizer, .options = std::move(options)});
  tiny.train = TinyBatches(400, /*batch=*/12);
  return tiny;
}

void ExpectClose(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::allclose(a[i], b[i], tolerance, tolerance)) << "tensor " << i;
}

TEST(Accumulate, MicroBatchesTrainAsOneLargeBatch) {
  for (const bool loop : {false, true}) {
    FitOptions options = {.train = {.max_steps = 5},
                          .tscore = {.every = 1, .mode = loop ? "loop" : "exact"},
                          .eval = {.off = true},
                          .clip = {.clip_norm = 0.2}};
    Tiny large = Large(options);
    options.train.accumulate = 3;
    Tiny small = Small(options);
    ASSERT_TRUE(large.Start().Run().ok());
    ASSERT_TRUE(small.Start().Run().ok());
    ASSERT_EQ(small.notes->steps.size(), 5u);
    for (size_t i = 0; i < 5; ++i) {
      const StepRecord &a = small.notes->steps[i], &b = large.notes->steps[i];
      EXPECT_NEAR(a.loss, b.loss, 1e-5 * b.loss);
      EXPECT_NEAR(a.grad_norm, b.grad_norm, 1e-4 * b.grad_norm);
      EXPECT_EQ(a.tokens, b.tokens);
      EXPECT_EQ(a.micro_batches, 3);
      ASSERT_EQ(a.score->n, 12);
      EXPECT_EQ(a.score->method, loop ? "loop" : "exact");
      EXPECT_NEAR(*a.score->t, *b.score->t, 1e-4);
      EXPECT_NEAR(a.score->s, b.score->s, 1e-4 * b.score->s);
      EXPECT_NEAR(a.score->q, b.score->q, 1e-4 * b.score->q);
      EXPECT_NEAR(*a.score->noise.trace, *b.score->noise.trace, 1e-4 * *b.score->noise.trace);
      for (size_t k = 0; k < 12; ++k)
        EXPECT_NEAR(a.score->sample_sq[k], b.score->sample_sq[k], 1e-3 * b.score->sample_sq[k]);
    }
    ExpectClose(small.Values(), large.Values(), 1e-5);
  }
}

TEST(Accumulate, AnEpochEndsWithAnUpdateOfWhatIsLeft) {
  Tiny tiny = Small({.train = {.epochs = 2, .accumulate = 3}, .tscore = {.every = 1}});
  Trainer& trainer = tiny.Start();
  ASSERT_EQ(tiny.train->count(), 16);
  EXPECT_EQ(trainer.planned_steps(), 12);
  const auto result = trainer.Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps, 12);
  EXPECT_EQ(result->state, "FINISHED");
  EXPECT_EQ(result->tokens, 2 * 16 * 24);
  const auto& steps = tiny.notes->steps;
  EXPECT_EQ(steps[4].batch, 15);
  EXPECT_EQ(steps[5].batch, 16);
  EXPECT_EQ(steps[5].micro_batches, 1);
  EXPECT_EQ(steps[5].score->n, 4);
  EXPECT_EQ(steps[5].tokens, 24);
  EXPECT_EQ(steps[6].epoch, 2);
  // The epoch's loss is the mean over its batches, not over its updates.
  double sum = 0;
  for (size_t i = 0; i < 6; ++i) sum += steps[i].loss * static_cast<double>(steps[i].micro_batches);
  EXPECT_NEAR(tiny.notes->epochs[0].train_loss, sum / 16, 1e-12);
  EXPECT_EQ(tiny.notes->epochs[0].noise.trace.counted, 6);
}

TEST(Accumulate, MoreThanAnEpochHasIsOneUpdate) {
  Tiny tiny = Small({.train = {.epochs = 1, .accumulate = 100}});
  ASSERT_TRUE(tiny.Start().Run().ok());
  EXPECT_EQ(tiny.notes->steps.size(), 1u);
  EXPECT_EQ(tiny.notes->steps[0].micro_batches, 16);
}

// Some rows have one counted target only and some none, so batches hold different numbers of targets, one of them 0.
TEST(Accumulate, UnequalNumbersOfTargetsWeighAsInOneBatch) {
  const auto run = [](int64_t batch, int64_t accumulate) {
    at::manual_seed(4);
    FitOptions options = {
        .train = {.accumulate = accumulate, .max_steps = 1}, .tscore = {.every = 1}, .eval = {.off = true}};
    Tiny tiny({.lr = 1, .optimizer = "SGD", .options = options});
    const at::Tensor x = at::arange(12 * 6, c10::kLong).mul(5).remainder(kVocabulary).view({12, 6});
    const at::Tensor y = (x + at::arange(12, c10::kLong).view({12, 1})).remainder(kVocabulary);
    const at::Tensor mask = at::zeros({12, 6});
    mask.narrow(0, 0, 5).fill_(1);
    mask.narrow(1, 2, 1).fill_(1);
    mask.narrow(0, 6, 3).zero_();
    tiny.train = *data::TensorBatches::Make(x, at::where(mask.gt(0), y, at::full_like(y, -100)), {.batch = batch});
    tiny.loss = [model = tiny.model](const data::Batch& b) -> absl::StatusOr<Loss> {
      const at::Tensor logits = model->Forward(b.x, nullptr);
      return Loss{at::cross_entropy_loss(logits.reshape({-1, kVocabulary}), b.y.reshape({-1})),
                  b.y.ne(-100).sum().item<int64_t>()};
    };
    EXPECT_TRUE(tiny.Start().Run().ok());
    return std::pair(tiny.notes->steps[0], tiny.Values());
  };
  const auto [one, one_values] = run(12, 1);
  const auto [four, four_values] = run(3, 4);
  EXPECT_EQ(four.tokens, one.tokens);
  EXPECT_NEAR(four.loss, one.loss, 1e-6 * one.loss);
  EXPECT_NEAR(four.grad_norm, one.grad_norm, 1e-5 * one.grad_norm);
  EXPECT_NEAR(four.score->q, one.score->q, 1e-4 * one.score->q);
  EXPECT_NEAR(*four.score->t, *one.score->t, 1e-5);
  ExpectClose(four_values, one_values, 1e-5);
}

TEST(Accumulate, MeasuringRunsAWholeUpdate) {
  Tiny tiny = Small({.train = {.accumulate = 3}});
  int64_t calls = 0;
  const LossFn inner = tiny.loss;
  tiny.loss = [&](const data::Batch& batch) {
    ++calls;
    return inner(batch);
  };
  const auto before = tiny.Values();
  ASSERT_TRUE(tiny.Start().Measure({false, std::nullopt}).ok());
  EXPECT_EQ(calls % 3, 0);
  EXPECT_TRUE(Equal(before, tiny.Values()));
}

}  // namespace
}  // namespace lanthorn::train
