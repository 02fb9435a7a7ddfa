#include "engine/train/trainer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

at::Tensor RandomNow() { return at::detail::getDefaultCPUGenerator().get_state(); }

TEST(Trainer, LearnsARepeatingText) {
  Tiny tiny({.options = {.train = {.epochs = 6}}});
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->state, "FINISHED");
  EXPECT_NEAR(tiny.notes->steps[0].loss, std::log(kVocabulary), 0.3);
  EXPECT_LT(result->epochs.back().train_loss, 0.6 * result->epochs[0].train_loss);
  EXPECT_LT(*result->epochs.back().val_loss, *result->epochs[0].val_loss);
  EXPECT_EQ(result->best->epoch, 6);
}

// The loss of a model that ends with a linear layer is fused with it; here the logits are made and then used.
LossFn PlainLoss(std::shared_ptr<nn::Module> model) {
  return [model](const data::Batch& batch) -> absl::StatusOr<Loss> {
    const at::Tensor logits = model->Forward(batch.x, nullptr);
    return Loss{at::cross_entropy_loss(logits.reshape({-1, kVocabulary}), batch.y.reshape({-1})), batch.y.numel()};
  };
}

TEST(Trainer, TheFusedLossTrainsAsPlainOperatorsDo) {
  const auto run = [](bool plain) {
    Tiny tiny({.lr = 0.1, .optimizer = "SGD", .options = {.train = {.max_steps = 8}, .tscore = {.every = 1}}});
    if (plain) tiny.loss = PlainLoss(tiny.model);
    EXPECT_TRUE(tiny.Start().Run().ok());
    return tiny.notes;
  };
  const auto fused = run(false), plain = run(true);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(fused->steps[i].loss, plain->steps[i].loss, 1e-5);
    EXPECT_NEAR(*fused->steps[i].score->t, *plain->steps[i].score->t, 1e-4);
    EXPECT_EQ(fused->steps[i].tokens, 24);
  }
  EXPECT_NEAR(*fused->evals[0].loss, *plain->evals[0].loss, 1e-5);
}

TEST(Trainer, TargetsThatDoNotCountAreNotCounted) {
  Tiny tiny;
  data::Batch batch = tiny.train->Get(0);
  batch.y = batch.y.clone();
  batch.y.narrow(1, 0, 2).fill_(-100);
  const auto loss = tiny.loss(batch);
  ASSERT_TRUE(loss.ok());
  EXPECT_EQ(loss->targets, 16);
  EXPECT_NEAR(loss->mean.item<double>(), PlainLoss(tiny.model)(batch)->mean.item<double>(), 1e-6);
}

TEST(Trainer, RecordsCountStepsEpochsAndTokens) {
  Tiny tiny({.options = {.train = {.epochs = 2}}});
  Trainer& trainer = tiny.Start();
  const int64_t batches = tiny.train->count(), steps = 2 * batches;
  EXPECT_EQ(trainer.planned_steps(), steps);
  const auto result = trainer.Run();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(static_cast<int64_t>(tiny.notes->steps.size()), steps);
  for (int64_t i = 0; i < steps; ++i) {
    const StepRecord& step = tiny.notes->steps[static_cast<size_t>(i)];
    EXPECT_EQ(step.step, i + 1);
    EXPECT_EQ(step.steps, steps);
    EXPECT_EQ(step.epoch, i / batches + 1);
    EXPECT_EQ(step.batch, i % batches + 1);
    EXPECT_EQ(step.tokens, 24);
    EXPECT_EQ(step.tokens_total, 24 * (i + 1));
    EXPECT_GT(step.grad_norm, 0);
  }
  EXPECT_EQ(result->tokens, 24 * steps);
  EXPECT_EQ(tiny.notes->phases, (std::vector<std::string>{"train", "eval", "train", "eval"}));
  EXPECT_EQ(tiny.notes->epochs.size(), 2u);
  double mean = 0;
  for (int64_t i = 0; i < batches; ++i)
    mean += tiny.notes->steps[static_cast<size_t>(i)].loss / static_cast<double>(batches);
  EXPECT_NEAR(tiny.notes->epochs[0].train_loss, mean, 1e-12);
}

TEST(Trainer, TheSameSeedGivesTheSameCurve) {
  const auto curve = [](uint64_t seed) {
    Tiny tiny({.seed = seed, .dropout = 0.3, .options = {.train = {.epochs = 2}}});
    EXPECT_TRUE(tiny.Start().Run().ok());
    return tiny.notes->Losses();
  };
  EXPECT_EQ(curve(5), curve(5));
  EXPECT_NE(curve(5), curve(6));
}

TEST(Trainer, MeasuringTDoesNotChangeTheCurve) {
  const auto curve = [](int64_t every, bool loop) {
    Tiny tiny({.dropout = 0.3,
               .options = {.train = {.epochs = 1}, .tscore = {.every = every, .mode = loop ? "loop" : "exact"}}});
    const auto result = tiny.Start().Run();
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->tscore.counted, every == 0 ? 0 : (result->steps + every - 1) / every);
    return tiny.notes->Losses();
  };
  const std::vector<double> plain = curve(0, false);
  const std::vector<double> exact = curve(2, false), loop = curve(2, true);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(exact[i], plain[i], 1e-5 * plain[i]) << i;  // sums in another order
    EXPECT_EQ(loop[i], plain[i]) << i;
  }
}

TEST(Trainer, TheLoopsScoreEqualsTheExactOne) {
  for (const char* cell : {"GRU", "LSTM"}) {
    const auto probe = [&](bool loop) {
      Tiny tiny({.cell = cell, .options = {.tscore = {.mode = loop ? "loop" : "exact"}}});
      const auto scores = tiny.Start().ProbeTScore(3);
      EXPECT_TRUE(scores.ok()) << scores.status();
      return *scores;
    };
    const auto exact = probe(false), loop = probe(true);
    ASSERT_EQ(exact.size(), 3u);
    for (size_t i = 0; i < exact.size(); ++i) {
      EXPECT_EQ(exact[i].method, "exact");
      EXPECT_EQ(loop[i].method, "loop");
      EXPECT_NEAR(*exact[i].t, *loop[i].t, 1e-5);
      // The loop's gradients are of each sample's own mean loss: N times the contributions.
      for (size_t k = 0; k < 4; ++k)
        EXPECT_NEAR(exact[i].sample_sq[k] * 16, loop[i].sample_sq[k], 1e-4 * loop[i].sample_sq[k]);
    }
  }
}

TEST(Trainer, AProbeChangesNothing) {
  Tiny tiny({.dropout = 0.4});
  Trainer& trainer = tiny.Start();
  const auto values = tiny.Values();
  const at::Tensor random = RandomNow();
  const auto first = trainer.ProbeTScore(2), second = trainer.ProbeTScore(2);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*(*first)[0].t, *(*second)[0].t);  // eval mode: no dropout
  EXPECT_TRUE(Equal(values, tiny.Values()));
  EXPECT_TRUE(at::equal(random, RandomNow()));
  EXPECT_TRUE(tiny.model->training());
  for (const auto& parameter : tiny.model->Parameters()) EXPECT_FALSE(parameter.tensor.grad().defined());
}

TEST(Trainer, EvalIsInEvalModeWithoutGradientAndRepeats) {
  Tiny tiny({.dropout = 0.5});
  const LossFn inner = tiny.loss;
  tiny.loss = [&](const data::Batch& batch) {
    EXPECT_FALSE(tiny.model->training());
    EXPECT_FALSE(at::GradMode::is_enabled());
    return inner(batch);
  };
  Trainer& trainer = tiny.Start();
  const at::Tensor random = RandomNow();
  const auto first = trainer.Evaluate(), second = trainer.Evaluate();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first->loss, *second->loss);
  EXPECT_EQ(first->batches, tiny.val->count());
  EXPECT_EQ(first->targets, 24 * tiny.val->count());
  EXPECT_TRUE(tiny.model->training());
  EXPECT_TRUE(at::equal(random, RandomNow()));
}

TEST(Trainer, AnEmptyValHasNoLossAndIsNeverBestG22) {
  Tiny tiny({.options = {.train = {.epochs = 1}}, .val_length = 5});
  ASSERT_EQ(tiny.val->count(), 0);
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->epochs[0].val_loss);
  EXPECT_FALSE(result->best);
  EXPECT_EQ(tiny.notes->evals[0].targets, 0);
}

TEST(Trainer, ValCapLimitsTheBatchesAndEvalCanBeOff) {
  Tiny capped({.options = {.train = {.epochs = 1}, .eval = {.val_cap = 2}}});
  ASSERT_TRUE(capped.Start().Run().ok());
  EXPECT_EQ(capped.notes->evals[0].batches, 2);
  EXPECT_EQ(capped.notes->evals[0].of, capped.val->count());
  Tiny off({.options = {.train = {.epochs = 1}, .eval = {.off = true}}});
  const auto result = off.Start().Run();
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(off.notes->evals.empty());
  EXPECT_EQ(result->best->epoch, 1);  // by the train loss
}

TEST(Trainer, MaxStepsEndsInTheMiddleOfAnEpoch) {
  Tiny tiny({.options = {.train = {.epochs = 3, .max_steps = 20}}});
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps, 20);
  EXPECT_EQ(result->state, "LIMIT");
  EXPECT_NE(result->reason.find("20 of " + std::to_string(3 * tiny.train->count())), std::string::npos)
      << result->reason;
  EXPECT_EQ(tiny.notes->steps.back().steps, 20);
}

TEST(Trainer, AnObserverCanStopOrFailTheRun) {
  Tiny stopped;
  stopped.notes->on_step = [](const StepRecord& record, Control* control) {
    *control = {record.step == 3, "enough"};
    return absl::OkStatus();
  };
  const auto result = stopped.Start().Run();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->steps, 3);
  EXPECT_EQ(result->state, "STOPPED");
  EXPECT_EQ(result->reason, "enough");
  Tiny failed;
  failed.notes->on_step = [](const StepRecord&, Control*) { return DataError("disk went away"); };
  ExpectStatus(failed.Start().Run().status(), ExitCode::kData, {"disk went away"});
}

TEST(Trainer, ASignalEndsTheRunAtAStepAndTheNextRunIsWhole) {
  Tiny tiny;
  tiny.notes->on_step = [](const StepRecord& record, Control*) {
    if (record.step == 2) std::raise(SIGTERM);
    return absl::OkStatus();
  };
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->state, "INTERRUPTED");
  EXPECT_EQ(result->signal, SIGTERM);
  EXPECT_EQ(result->steps, 2);
  Tiny next;
  EXPECT_EQ(next.Start().Run()->state, "FINISHED");
}

TEST(Trainer, TheScheduleSetsTheRateOfEachUpdate) {
  const optim::Schedule schedule = {.name = "linear", .warmup = 4, .total = 12};
  Tiny tiny({.lr = 0.04, .options = {.train = {.epochs = 1}, .schedule = schedule}});
  ASSERT_TRUE(tiny.Start().Run().ok());
  for (size_t i = 0; i < tiny.notes->steps.size(); ++i) {
    EXPECT_DOUBLE_EQ(tiny.notes->steps[i].lr, 0.04 * schedule.Factor(static_cast<int64_t>(i)));
  }
}

TEST(Trainer, ClippingActsOnTheUpdateAndTheRecordShowsTheNormBefore) {
  Tiny tiny({.lr = 1, .optimizer = "SGD", .options = {.train = {.max_steps = 1}, .clip = {.clip_norm = 1e-3}}});
  const auto before = tiny.Values();
  ASSERT_TRUE(tiny.Start().Run().ok());
  double moved = 0;
  const auto after = tiny.Values();
  for (size_t i = 0; i < after.size(); ++i) moved += (after[i] - before[i]).square().sum().item<double>();
  EXPECT_NEAR(std::sqrt(moved), 1e-3, 2e-5);
  EXPECT_GT(tiny.notes->steps[0].grad_norm, 1e-2);
}

TEST(Trainer, ClippingByNormLeavesTheGradientsThatObserversSee) {
  const auto gradients = [](double clip_norm, bool scored) {
    Tiny tiny({.options = {.train = {.max_steps = 1},
                           .tscore = {.every = scored ? 1 : 0},
                           .eval = {.off = true},
                           .clip = {.clip_norm = clip_norm}}});
    EXPECT_TRUE(tiny.Start().Run().ok());
    std::vector<at::Tensor> found;
    for (const auto& parameter : tiny.model->Parameters()) found.push_back(parameter.tensor.grad());
    return found;
  };
  for (const bool scored : {false, true}) EXPECT_TRUE(Equal(gradients(0, scored), gradients(1e-3, scored)));
}

TEST(Trainer, TheRemainingTimeComesAfterTheFirstBlockAndShrinksToTheEval) {
  Tiny tiny({.options = {.train = {.epochs = 3}}});
  ASSERT_TRUE(tiny.Start().Run().ok());
  const auto& steps = tiny.notes->steps;
  ASSERT_GT(steps.size(), 40u);
  EXPECT_FALSE(steps[23].remaining);
  ASSERT_TRUE(steps[30].remaining);
  EXPECT_LE(steps[30].remaining->low, steps[30].remaining->mid);
  EXPECT_LE(steps[30].remaining->mid, steps[30].remaining->high);
  EXPECT_DOUBLE_EQ(steps.back().remaining->low, steps.back().remaining->high);  // only the last eval
}

}  // namespace
}  // namespace lanthorn::train
