// Attention and transformer blocks against loops in float64 (loop_transformer.h), for both dtypes, and their gradients
// against finite differences.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "engine/kernels/attention/causal_mask.h"
#include "engine/nn/key_padding.h"
#include "tests/engine/nn/loop_transformer.h"
#include "tests/engine/nn/make_layers.h"

namespace lanthorn {
namespace {

class Transformer : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(5); }
};

std::vector<bool> PaddedOf(const at::Tensor& padding, int64_t b) {
  std::vector<bool> padded;
  for (int64_t t = 0; padding.defined() && t < padding.size(1); ++t) padded.push_back(padding[b][t].item<bool>());
  return padded;
}

// Biases and norms that are not 0 and 1.
void Shake(const ModulePtr& layer) {
  at::NoGradGuard no_grad;
  for (const auto& parameter : layer->Parameters()) {
    if (parameter.tensor.dim() == 1) parameter.tensor.add_(at::randn_like(parameter.tensor), 0.3);
  }
}

TEST_F(Transformer, AttentionEqualsLoopsOverHeads) {
  for (const auto dtype : {c10::kDouble, c10::kFloat}) {
    for (const int64_t B : {1, 3}) {
      for (const int64_t T : {1, 7, 65}) {
        for (const int64_t heads : {1, 2, 3, 4}) {
          for (const bool causal : {false, true}) {
            SCOPED_TRACE(absl::StrFormat("%s B=%d T=%d heads=%d causal=%d", c10::toString(dtype), B, T, heads, causal));
            const ModulePtr layer = MultiheadAttention(heads * 3, heads, causal, /*bias=*/T != 7);
            Shake(layer);
            layer->To(c10::kCPU, dtype);
            const at::Tensor x = at::randn({B, T, heads * 3}, dtype), y = layer->Forward(x, nullptr);
            const LoopTransformer loops(*layer);
            for (int64_t b = 0; b < B; ++b)
              EXPECT_LE(
                  LoopTransformer::LargestDifference(
                      y, b, loops.Attention(LoopTransformer::Sample(x, b), "", static_cast<size_t>(heads), causal)),
                  dtype == c10::kDouble ? 1e-13 : 1e-5);
          }
        }
      }
    }
  }
}

TEST_F(Transformer, ABlockEqualsLoops) {
  for (const auto dtype : {c10::kDouble, c10::kFloat}) {
    for (const char* activation : {"gelu", "gelu_tanh", "relu", "relu2", "swiglu"}) {
      for (const int variant : {0, 1, 2, 3, 4, 5, 6, 7}) {
        const bool rms = (variant & 1) != 0, first = (variant & 2) != 0, causal = (variant & 4) != 0;
        SCOPED_TRACE(absl::StrFormat("%s %s rms=%d norm_first=%d causal=%d", c10::toString(dtype), activation, rms,
                                     first, causal));
        const ModulePtr layer = EncoderLayer(12, 3, 19,
                                             {.activation = activation,
                                              .norm = rms ? "rms" : "layer",
                                              .norm_first = first,
                                              .causal = causal,
                                              .bias = variant != 3,
                                              .norm_affine = variant != 5});
        Shake(layer);
        layer->To(c10::kCPU, dtype);
        const at::Tensor x = at::randn({2, 7, 12}, dtype), y = layer->Forward(x, nullptr);
        const LoopTransformer loops(*layer);
        for (int64_t b = 0; b < 2; ++b) {
          const auto expected = loops.Block(LoopTransformer::Sample(x, b), 3, causal, activation, rms, first);
          EXPECT_LE(LoopTransformer::LargestDifference(y, b, expected), dtype == c10::kDouble ? 1e-12 : 2e-5);
        }
      }
    }
  }
}

TEST_F(Transformer, GradientsAreThoseOfFiniteDifferences) {
  for (const char* activation : {"gelu", "gelu_tanh", "relu2", "swiglu"}) {
    for (const bool norm_first : {false, true}) {
      SCOPED_TRACE(absl::StrFormat("%s %d", activation, norm_first));
      const ModulePtr layer = EncoderLayer(
          4, 2, 3,
          {.activation = activation, .norm = norm_first ? "rms" : "layer", .norm_first = norm_first, .causal = true});
      Shake(layer);
      layer->To(c10::kCPU, c10::kDouble);
      const at::Tensor x = at::randn({2, 3, 4}, c10::kDouble).set_requires_grad(true);
      const at::Tensor direction = at::randn({2, 3, 4}, c10::kDouble);
      const at::Tensor lengths = at::tensor({2, 3}, c10::kLong);
      const auto loss = [&] {
        const nn::KeyPadding scope(lengths);
        return (layer->Forward(x, nullptr) * direction).sum();
      };
      loss().backward();
      std::vector<std::pair<std::string, at::Tensor>> leaves = {{"x", x}};
      for (const auto& parameter : layer->Parameters()) leaves.emplace_back(parameter.name, parameter.tensor);
      at::NoGradGuard no_grad;
      for (auto& [name, leaf] : leaves) {
        double* data = leaf.data_ptr<double>();
        for (int64_t i = 0; i < leaf.numel(); ++i) {
          constexpr double kStep = 1e-5;
          const double before = data[i];
          data[i] = before + kStep;
          const double above = loss().item<double>();
          data[i] = before - kStep;
          const double below = loss().item<double>();
          data[i] = before;
          EXPECT_NEAR(leaf.grad().data_ptr<double>()[i], (above - below) / (2 * kStep), 1e-7) << name << " " << i;
        }
      }
    }
  }
}

TEST_F(Transformer, ALaterTokenChangesNothingBeforeIt) {
  for (const bool norm_first : {false, true}) {
    const ModulePtr layer = EncoderLayer(12, 3, 20, {.norm_first = norm_first, .causal = true});
    const at::Tensor x = at::randn({2, 9, 12}), y = layer->Forward(x, nullptr);
    for (int64_t t = 0; t < 8; ++t) {
      at::Tensor changed = x.clone();
      changed.narrow(1, t + 1, 8 - t).normal_();
      const at::Tensor other = layer->Forward(changed, nullptr);
      EXPECT_TRUE(at::equal(y.narrow(1, 0, t + 1), other.narrow(1, 0, t + 1))) << t;
      EXPECT_FALSE(at::equal(y.select(1, t + 1), other.select(1, t + 1))) << t;
    }
  }
}

TEST_F(Transformer, PaddedKeysCountForNothing) {
  for (const auto dtype : {c10::kDouble, c10::kFloat}) {
    for (const bool causal : {false, true}) {
      const ModulePtr layer = MultiheadAttention(6, 2, causal);
      Shake(layer);
      layer->To(c10::kCPU, dtype);
      const at::Tensor x = at::randn({3, 5, 6}, dtype);
      const at::Tensor padding = at::tensor({0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1}, c10::kLong)
                                     .to(c10::kBool)
                                     .view({3, 5});  // behind, before, and everywhere
      at::Tensor y;
      {
        const nn::KeyPadding scope(padding);
        y = layer->Forward(x, nullptr);
      }
      const LoopTransformer loops(*layer);
      for (int64_t b = 0; b < 3; ++b) {
        const auto expected = loops.Attention(LoopTransformer::Sample(x, b), "", 2, causal, PaddedOf(padding, b));
        EXPECT_LE(LoopTransformer::LargestDifference(y, b, expected), 1e-5) << causal << b;
      }
    }
  }
}

TEST_F(Transformer, ASampleOfPaddingAloneHasFiniteGradients) {
  for (const auto dtype : {c10::kDouble, c10::kFloat}) {
    const ModulePtr layer = MultiheadAttention(4, 2, /*causal=*/true);
    layer->To(c10::kCPU, dtype);
    const at::Tensor x = at::randn({2, 3, 4}, dtype).set_requires_grad(true);
    const nn::KeyPadding scope(at::tensor({0, 2}, c10::kLong));
    const at::Tensor y = layer->Forward(x, nullptr);
    EXPECT_TRUE(at::equal(y[0], layer->Child("out_proj")->Own("bias").expand({3, 4})));
    y.square().sum().backward();
    EXPECT_EQ(x.grad()[0].abs().max().item<double>(), 0);
    EXPECT_GT(x.grad()[1].abs().max().item<double>(), 0);
    for (const auto& parameter : layer->Parameters())
      EXPECT_TRUE(at::isfinite(parameter.tensor.grad()).all().item<bool>()) << parameter.name;
  }
}

TEST_F(Transformer, LengthsAndMasksAreTheSamePaddingAndTheInnerScopeHolds) {
  const ModulePtr layer = MultiheadAttention(4, 2, /*causal=*/false);
  const at::Tensor x = at::randn({2, 3, 4}), lengths = at::tensor({2, 3}, c10::kLong);
  const at::Tensor mask = at::tensor({0, 0, 1, 0, 0, 0}, c10::kLong).to(c10::kBool).view({2, 3});
  const at::Tensor plain = layer->Forward(x, nullptr);
  at::Tensor by_mask, by_length, after;
  {
    const nn::KeyPadding outer(mask);
    by_mask = layer->Forward(x, nullptr);
    {
      const nn::KeyPadding inner(at::tensor({3, 3}, c10::kLong));
      EXPECT_TRUE(at::allclose(layer->Forward(x, nullptr), plain));
    }
    after = layer->Forward(x, nullptr);
  }
  const nn::KeyPadding scope(lengths);
  by_length = layer->Forward(x, nullptr);
  EXPECT_TRUE(at::equal(by_mask, by_length));
  EXPECT_TRUE(at::equal(by_mask, after));
  EXPECT_FALSE(at::allclose(by_mask, plain));
}

void ExpectRefused(const std::string& words, const std::function<void()>& run) {
  try {
    run();
    ADD_FAILURE() << "expected: " << words;
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what_without_backtrace()).find(words), std::string::npos) << error.what();
  }
}

TEST_F(Transformer, PaddingThatDoesNotFitIsNamed) {
  const ModulePtr layer = MultiheadAttention(4, 2, false);
  const auto with = [&](const at::Tensor& padding) {
    return [&layer, padding] {
      const nn::KeyPadding scope(padding);
      layer->Forward(at::ones({2, 3, 4}), nullptr);
    };
  };
  ExpectRefused("has 2 samples, the padding 3", with(at::ones({3}, c10::kLong)));
  ExpectRefused("has 3 positions, the padding 5", with(at::zeros({2, 5}, c10::kBool)));
  ExpectRefused("expected a bool (B, T)", with(at::ones({2, 3})));
  layer->Forward(at::ones({2, 3, 4}), nullptr);  // no scope is left behind
}

TEST_F(Transformer, SizesThatDoNotFitAreNamed) {
  ExpectRefused("num_heads must divide embed_dim, got 3 heads for 10", [] { MultiheadAttention(10, 3, false); });
  ExpectRefused("nhead must divide d_model, got 4 heads for 10", [] { EncoderLayer(10, 4, 8, {}); });
  ExpectRefused("did you mean 'gelu'", [] { EncoderLayer(8, 4, 8, {.activation = "gleu"}); });
  ExpectRefused("norm must be layer or rms", [] { EncoderLayer(8, 4, 8, {.norm = "batch"}); });
  ExpectRefused("dropout must be in [0, 1)", [] { EncoderLayer(8, 4, 8, {.dropout = 1}); });
  ExpectRefused("input must be (B, T, 4), got [3, 4]", [] {
    MultiheadAttention(4, 2, false)->Forward(at::ones({3, 4}), nullptr);
  });
  ExpectRefused("positions for 4 steps (max_len), the sequence has 5", [] {
    MakeLayer("PositionalEmbedding", {4, 2})->Forward(at::ones({1, 5, 2}), nullptr);
  });
}

TEST_F(Transformer, TheCausalMaskIsOneBufferThatStays) {
  const ModulePtr layer = MultiheadAttention(4, 2, true);
  layer->To(c10::kCPU, c10::kDouble);
  const at::Tensor before = kernels::CausalMask(c10::kCPU, 64);
  for (const int64_t T : {64, 3, 64, 17}) layer->Forward(at::randn({1, T, 4}, c10::kDouble), nullptr);
  const at::Tensor after = kernels::CausalMask(c10::kCPU, 40);
  EXPECT_EQ(before.data_ptr(), after.data_ptr());
  EXPECT_TRUE(at::equal(after, at::ones({40, 40}, c10::kBool).triu(1)));
  EXPECT_EQ(layer->StateDict().size(), 4u);  // no part of the weights
}

TEST_F(Transformer, DropoutKeepsTheMeanAndFollowsTheSeed) {
  const ModulePtr layer = MultiheadAttention(4, 2, false, true, /*dropout=*/0.4);
  layer->To(c10::kCPU, c10::kDouble);
  const at::Tensor x = at::randn({2, 6, 4}, c10::kDouble);
  const auto draw = [&](uint64_t seed) {
    at::manual_seed(seed);
    return layer->Forward(x, nullptr);
  };
  EXPECT_TRUE(at::equal(draw(1), draw(1)));
  EXPECT_FALSE(at::allclose(draw(1), draw(2)));
  at::NoGradGuard no_grad;
  at::Tensor mean = at::zeros_like(x);
  constexpr int kDraws = 4000;
  for (uint64_t i = 0; i < kDraws; ++i) mean += draw(i) / kDraws;
  layer->Train(false);
  const at::Tensor expected = layer->Forward(x, nullptr);
  EXPECT_TRUE(at::equal(expected, layer->Forward(x, nullptr)));
  EXPECT_LE((mean - expected).abs().max().item<double>(), 0.05);
}

TEST_F(Transformer, DropoutOfABlockIsOffInEvalMode) {
  const ModulePtr layer = EncoderLayer(8, 2, 12, {.dropout = 0.5});
  const at::Tensor x = at::randn({2, 3, 8});
  EXPECT_FALSE(at::equal(layer->Forward(x, nullptr), layer->Forward(x, nullptr)));
  layer->Train(false);
  const at::Tensor y = layer->Forward(x, nullptr);
  EXPECT_TRUE(at::equal(y, layer->Forward(x, nullptr)));
  const LoopTransformer loops(*layer);
  EXPECT_LE(LoopTransformer::LargestDifference(
                y, 0, loops.Block(LoopTransformer::Sample(x, 0), 2, false, "gelu", false, false)),
            1e-5);
}

TEST_F(Transformer, SinusoidalPositionsAreThePublishedSines) {
  const ModulePtr layer = MakeLayer("SinusoidalPositions", {5});
  layer->To(c10::kCPU, c10::kDouble);
  for (const int64_t T : {3, 200, 7}) {
    const at::Tensor y = layer->Forward(at::zeros({2, T, 5}, c10::kDouble), nullptr);
    for (const int64_t t : {int64_t{0}, T - 1}) {
      for (int64_t i = 0; i < 5; ++i) {
        const double angle = static_cast<double>(t) / std::pow(10000.0, static_cast<double>(i - i % 2) / 5);
        EXPECT_NEAR(y[1][t][i].item<double>(), i % 2 == 0 ? std::sin(angle) : std::cos(angle), 1e-12);
      }
    }
  }
  EXPECT_EQ(layer->Forward(at::zeros({1, 2, 5}), nullptr).scalar_type(), c10::kFloat);
}

TEST_F(Transformer, AModelTakesAsManyStepsAsItsPositions) {
  nn::Sequential model;
  EXPECT_EQ(model.MaxLength(), 0);
  model.AddChild("positions", MakeLayer("PositionalEmbedding", {9, 4}));
  model.AddChild("layer", MultiheadAttention(4, 2, true));
  EXPECT_EQ(model.MaxLength(), 9);
}

}  // namespace
}  // namespace lanthorn
