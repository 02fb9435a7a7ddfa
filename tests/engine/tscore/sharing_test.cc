// Parameters that are used more than once, and uses that no layer reports.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/base/memory/memory.h"
#include "engine/kernels/loss/linear_cross_entropy.h"
#include "tests/engine/nn/make_layers.h"
#include "tests/engine/tscore/sample_loop.h"

namespace lanthorn::tscore {
namespace {

constexpr int64_t N = 4;

class TScoreSharing : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(7); }

  void ExpectExactIsLoop(nn::Module& model, const SampleLoss& loss) {
    model.To(c10::kCPU, c10::kDouble);
    const auto exact = ExactScore(model, N, loss);
    ASSERT_TRUE(exact.ok()) << exact.status();
    const Score loop = LoopScore(model, N, loss);
    for (int64_t i = 0; i < N; ++i) EXPECT_NEAR(exact->sample_sq[i], loop.sample_sq[i], 1e-10 * loop.sample_sq[i]) << i;
    EXPECT_NEAR(*exact->t, *loop.t, 1e-10);
  }

  const at::Tensor x_ = at::randn({N, 5, 3}, c10::kDouble), ids_ = at::randint(6, {N, 5}, c10::kLong);
};

TEST_F(TScoreSharing, ALayerAppliedTwiceIsSummedBeforeSquaring) {
  const ModulePtr layer = Linear(3, 3);
  ExpectExactIsLoop(*layer, [&](int64_t first, int64_t count) {
    return layer->Forward(at::tanh(layer->Forward(x_.narrow(0, first, count), nullptr)), nullptr).square().sum();
  });
}

TEST_F(TScoreSharing, ALayerMayBeUsedWithDifferentRanks) {
  const ModulePtr layer = Linear(3, 3);
  ExpectExactIsLoop(*layer, [&](int64_t first, int64_t count) {
    const at::Tensor y = layer->Forward(x_.narrow(0, first, count), nullptr);
    return layer->Forward(at::tanh(y).mean(1), nullptr).square().sum() + y.square().sum();
  });
}

TEST_F(TScoreSharing, ATiedHeadAddsToTheEmbedding) {
  const auto model = std::make_shared<nn::Sequential>();
  model->AddChild("embed", Embedding(6, 3));
  model->AddChild("norm", LayerNorm(3));
  model->AddChild("head", Linear(3, 6, /*bias=*/false));
  ASSERT_TRUE(model->Child("head")->Tie("weight", model->Child("embed")->Own("weight")).ok());
  const at::Tensor targets = at::randint(6, {N, 5}, c10::kLong);
  ExpectExactIsLoop(*model, [&](int64_t first, int64_t count) {
    const at::Tensor logits = model->Forward(ids_.narrow(0, first, count), nullptr);
    return at::cross_entropy_loss(logits.reshape({-1, 6}), targets.narrow(0, first, count).reshape(-1)) * count;
  });
}

// Logits beyond exp's range at targets that do not count, and ids of 32 bits.
TEST_F(TScoreSharing, ATiedHeadOfLargeLogitsLeavesIgnoredTargetsOut) {
  const auto model = std::make_shared<nn::Sequential>();
  model->AddChild("embed", Embedding(6, 3));
  model->AddChild("head", Linear(3, 6, /*bias=*/false));
  ASSERT_TRUE(model->Child("head")->Tie("weight", model->Child("embed")->Own("weight")).ok());
  {
    const at::NoGradGuard no_grad;
    model->Child("embed")->Own("weight").mul_(30);
  }
  at::Tensor targets = at::randint(6, {N, 5}, c10::kLong);
  targets.select(1, 2).fill_(kernels::kIgnoredTarget);
  for (const auto type : {c10::kLong, c10::kInt}) {
    const at::Tensor ids = ids_.to(type);
    const SampleLoss loss = [&](int64_t first, int64_t count) {
      const auto head = model->LinearHead();
      return kernels::LinearCrossEntropy(model->Features(ids.narrow(0, first, count), nullptr), head->weight,
                                         head->bias, targets.narrow(0, first, count)) *
             count;
    };
    const auto exact = ExactScore(*model, N, loss);
    ASSERT_TRUE(exact.ok()) << exact.status();
    const Score loop = LoopScore(*model, N, loss);
    for (int64_t i = 0; i < N; ++i)
      EXPECT_NEAR(exact->sample_sq[i], loop.sample_sq[i], 1e-4 * loop.sample_sq[i] + 1e-6) << i;
  }
}

// As the trainer computes it: the head is part of the fused loss.
TEST_F(TScoreSharing, ATiedHeadInTheFusedLossAddsToTheEmbedding) {
  for (const int64_t padding_idx : {-1, 2}) {
    const auto model = std::make_shared<nn::Sequential>();
    model->AddChild("embed", Embedding(6, 3, padding_idx));
    model->AddChild("norm", LayerNorm(3));
    model->AddChild("head", Linear(3, 6));
    ASSERT_TRUE(model->Child("head")->Tie("weight", model->Child("embed")->Own("weight")).ok());
    const at::Tensor targets = at::randint(6, {N, 5}, c10::kLong);
    const SampleLoss loss = [&](int64_t first, int64_t count) {
      const auto head = model->LinearHead();
      return kernels::LinearCrossEntropy(model->Features(ids_.narrow(0, first, count), nullptr), head->weight,
                                         head->bias, targets.narrow(0, first, count)) *
             count;
    };
    const auto exact = ExactScore(*model, N, loss);
    ASSERT_TRUE(exact.ok()) << exact.status();
    const Score loop = LoopScore(*model, N, loss);
    for (int64_t i = 0; i < N; ++i) EXPECT_NEAR(exact->sample_sq[i], loop.sample_sq[i], 1e-5 * loop.sample_sq[i]) << i;
    EXPECT_NEAR(*exact->t, *loop.t, 1e-5);
    ExpectExactIsLoop(*model, loss);  // float64
  }
}

TEST_F(TScoreSharing, ANormUsedTwiceIsSummedBeforeSquaring) {
  const ModulePtr norm = LayerNorm(3);
  ExpectExactIsLoop(*norm, [&](int64_t first, int64_t count) {
    const at::Tensor y = norm->Forward(x_.narrow(0, first, count), nullptr);
    return norm->Forward(at::sin(y), nullptr).pow(3).sum();
  });
}

TEST_F(TScoreSharing, AGruOrLstmUsedTwiceIsSummedBeforeSquaring) {
  for (const char* cell : {"GRU", "LSTM"}) {
    SCOPED_TRACE(cell);
    const ModulePtr rnn = Rnn(cell, 3, 3, /*layers=*/2);
    ExpectExactIsLoop(*rnn, [&](int64_t first, int64_t count) {
      nn::State state;  // the second pass starts where the first ended
      const at::Tensor y = rnn->Forward(x_.narrow(0, first, count), &state);
      return rnn->Forward(y, &state).square().sum();
    });
  }
}

// Of gradients whose squares are beyond float's range.
TEST_F(TScoreSharing, LargeGradientsHaveFiniteSquares) {
  const ModulePtr layer = Rnn("GRU", 3, 4);
  const at::Tensor x = x_.to(c10::kFloat);
  const auto score = [&](double scale) {
    const auto loss = [&](int64_t first, int64_t count) {
      return layer->Forward(x.narrow(0, first, count), nullptr).sum() * scale;
    };
    return *ExactScore(*layer, N, loss);
  };
  const Score plain = score(1), large = score(1e20);
  EXPECT_EQ(large.status, "ok");
  EXPECT_NEAR(*large.t, *plain.t, 1e-5);
  EXPECT_NEAR(large.q / plain.q / 1e40, 1, 1e-4);
}

TEST_F(TScoreSharing, AFailedScoreKeepsNoTensors) {
  memory::Install();
  const ModulePtr layer = Rnn("GRU", 3, 40);
  const at::Tensor x = x_.to(c10::kFloat);
  int64_t after_first = 0;
  for (int i = 0; i < 4; ++i) {
    const auto outside = ExactScore(*layer, N, [&](int64_t first, int64_t count) {
      return layer->Forward(x.narrow(0, first, count), nullptr).sum() + layer->Parameters()[1].tensor.sum();
    });
    EXPECT_FALSE(outside.ok());
    if (i == 0) after_first = memory::TensorBytes();
  }
  EXPECT_EQ(memory::TensorBytes(), after_first);
}

TEST_F(TScoreSharing, DropoutOfZeroChangesNothing) {
  const auto model = CharRnn("GRU", 6, 4, 5, /*layers=*/2, /*dropout=*/0);
  model->Train(true);
  ExpectExactIsLoop(*model, [&](int64_t first, int64_t count) {
    return model->Forward(ids_.narrow(0, first, count), nullptr).square().sum();
  });
}

// A message must hold all of these words.
void ExpectError(const absl::StatusOr<Score>& score, const std::vector<std::string>& words) {
  ASSERT_FALSE(score.ok());
  EXPECT_EQ(ExitCodeOf(score.status()), ExitCode::kConfig);
  for (const std::string& word : words)
    EXPECT_NE(MessageOf(score.status()).find(word), std::string::npos) << score.status();
  EXPECT_EQ(Recorder::Current(), nullptr);
}

TEST_F(TScoreSharing, AParameterUsedOutsideOfALayerIsNamed) {
  nn::Container model("Model");
  model.AddChild("first", Linear(3, 3));
  model.AddChild("second", Linear(3, 3, /*bias=*/false));
  model.To(c10::kCPU, c10::kDouble);
  ExpectError(ExactScore(model, N,
                         [&](int64_t first, int64_t count) {
                           const at::Tensor y = model.Child("first")->Forward(x_.narrow(0, first, count), nullptr);
                           return at::matmul(y, model.Child("second")->Own("weight")).square().sum();
                         }),
              {"second.weight", "mode='loop'"});
}

TEST_F(TScoreSharing, VerifyFindsAUseOutsideOfLayers) {
  const ModulePtr layer = Linear(3, 3, /*bias=*/false);
  layer->To(c10::kCPU, c10::kDouble);
  const auto loss = [&](int64_t first, int64_t count) {
    return layer->Forward(x_.narrow(0, first, count), nullptr).square().sum() +
           0.1 * layer->Own("weight").square().sum();
  };
  EXPECT_TRUE(ExactScore(*layer, N, loss, /*verify=*/false).ok());  // cannot know
  ExpectError(ExactScore(*layer, N, loss, /*verify=*/true), {"'weight'", "do not add up"});
}

TEST_F(TScoreSharing, VerifyAcceptsGradientsThatCancel) {
  // A key's bias shifts all scores of a softmax alike: its gradient is rounding noise around zero.
  nn::Container model("Attention");
  for (const char* name : {"query", "key", "value"}) model.AddChild(name, Linear(3, 3));
  const at::Tensor x = x_.to(c10::kFloat);
  const auto attend = [&](int64_t first, int64_t count) {
    const at::Tensor rows = x.narrow(0, first, count);
    const at::Tensor q = model.Child("query")->Forward(rows, nullptr), k = model.Child("key")->Forward(rows, nullptr);
    return at::matmul(at::softmax(at::matmul(q, k.transpose(1, 2)), -1), model.Child("value")->Forward(rows, nullptr))
        .square()
        .sum();
  };
  const auto score = ExactScore(model, N, attend, /*verify=*/true);
  EXPECT_TRUE(score.ok()) << score.status();
  // Pairs of opposite samples: the batch gradient is zero, the samples' are not.
  const ModulePtr layer = Linear(3, 3);
  const at::Tensor pair = at::cat({x.narrow(0, 0, 2), x.narrow(0, 0, 2)}),
                   sign = at::tensor({1.f, 1.f, -1.f, -1.f}).view({N, 1, 1});
  const auto opposite = ExactScore(*layer, N, [&](int64_t first, int64_t count) {
    return (at::tanh(layer->Forward(pair.narrow(0, first, count), nullptr)) * sign.narrow(0, first, count)).sum();
  });
  ASSERT_TRUE(opposite.ok()) << opposite.status();
  EXPECT_NEAR(*opposite->t, 1, 1e-6);
}

TEST_F(TScoreSharing, ALayerThatSeesAnotherNumberOfSamplesIsRefused) {
  const ModulePtr layer = Linear(3, 3);
  layer->To(c10::kCPU, c10::kDouble);
  ExpectError(ExactScore(*layer, N,
                         [&](int64_t, int64_t) {
                           return layer->Forward(x_.reshape({-1, 3}), nullptr).sum();
                         }),
              {"Linear", "20 samples", "has 4"});
}

TEST_F(TScoreSharing, TheFirstReportCanSayHowManySamplesThereAre) {
  const auto run = [&](bool regroup) {
    nn::Container model("Model");
    model.AddChild("a", Linear(3, 3));
    model.AddChild("b", Linear(3, 3));
    model.To(c10::kCPU, c10::kDouble);
    const Recorder::Ptr recorder = Recorder::Open();
    const at::Tensor y = model.Child("a")->Forward(x_, nullptr);
    const at::Tensor loss = model.Child("b")->Forward(regroup ? y.reshape({-1, 3}) : y, nullptr).square().sum();
    recorder->Close();
    loss.backward();
    return recorder->Finish(model.Parameters());
  };
  const auto score = run(false);
  ASSERT_TRUE(score.ok()) << score.status();
  EXPECT_EQ(score->n, N);
  ExpectError(run(true), {"samples in dimension 0"});
}

TEST_F(TScoreSharing, TimeInTheFirstDimensionIsRefused) {
  for (const char* cell : {"GRU", "LSTM"}) {
    const ModulePtr rnn = Rnn(cell, 3, 4, 1, true, /*batch_first=*/false);
    rnn->To(c10::kCPU, c10::kDouble);
    ExpectError(ExactScore(*rnn, N, [&](int64_t, int64_t) { return rnn->Forward(x_, nullptr).sum(); }),
                {cell, "batch_first=true"});
  }
}

TEST_F(TScoreSharing, AnInputWithoutSampleDimensionIsRefused) {
  const ModulePtr layer = Linear(3, 3);
  layer->To(c10::kCPU, c10::kDouble);
  ExpectError(ExactScore(*layer, N, [&](int64_t, int64_t) { return layer->Forward(x_[0][0], nullptr).sum(); }),
              {"sample dimension"});
}

TEST_F(TScoreSharing, APausedRecorderSeesNothingAndComesBack) {
  const ModulePtr layer = Linear(3, 3);
  layer->To(c10::kCPU, c10::kDouble);
  const auto plain = [&](int64_t first, int64_t count) {
    return layer->Forward(x_.narrow(0, first, count), nullptr).square().sum();
  };
  const auto expected = ExactScore(*layer, N, plain);
  const auto with_pause = ExactScore(*layer, N, [&](int64_t first, int64_t count) {
    {
      const Recorder::Pause pause;
      EXPECT_EQ(Recorder::Current(), nullptr);
      layer->Forward(at::ones({7, 3}, c10::kDouble), nullptr);
    }
    EXPECT_NE(Recorder::Current(), nullptr);
    return plain(first, count);
  });
  ASSERT_TRUE(expected.ok() && with_pause.ok());
  EXPECT_EQ(expected->q, with_pause->q);
}

TEST_F(TScoreSharing, ParametersThatTheLossDoesNotReachNeedNoReport) {
  nn::Container model("Model");
  model.AddChild("used", Linear(3, 3));
  model.AddChild("unused", Linear(3, 3));
  model.To(c10::kCPU, c10::kDouble);
  const auto score = ExactScore(model, N, [&](int64_t first, int64_t count) {
    return model.Child("used")->Forward(x_.narrow(0, first, count), nullptr).square().sum();
  });
  EXPECT_TRUE(score.ok()) << score.status();
}

}  // namespace
}  // namespace lanthorn::tscore
