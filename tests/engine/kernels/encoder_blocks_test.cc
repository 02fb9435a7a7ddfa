// Fused encoder blocks (float32) against the same from plain operators in float64, with the same dropout.
#include "engine/kernels/encoder/encoder_blocks.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>
#include <limits>

#include "absl/strings/str_format.h"
#include "engine/tscore/recorder.h"
#include "tests/engine/kernels/kernel_scopes.h"

namespace lanthorn::kernels {
namespace {

struct Sizes {
  int64_t n, N, T, heads, width, ff;
  bool shared = true, mean = true;
};

struct Problem {
  at::Tensor x, padding;
  EncoderParameters parameters;
  EncoderOptions options;

  Problem As(c10::ScalarType dtype) const {
    const auto as = [&](const at::Tensor& t) {
      return t.detach().to(dtype).clone().set_requires_grad(t.requires_grad());
    };
    Problem other = {as(x), padding, {}, options};
    for (size_t i = 0; i < parameters.size(); ++i) other.parameters[i] = as(parameters[i]);
    return other;
  }
  at::Tensor Run() const { return EncoderBlocks(x, padding, parameters, options); }
};

Problem Make(const Sizes& s, double dropout = 0, bool padded = false) {
  at::manual_seed(5);
  const int64_t d = s.heads * s.width;
  const auto leaf = [](std::vector<int64_t> sizes, double scale, double shift = 0) {
    return (at::randn(sizes) * scale + shift).set_requires_grad(true);
  };
  const double narrow = 1 / std::sqrt(static_cast<double>(d)), wide = 1 / std::sqrt(static_cast<double>(s.ff));
  Problem p;
  p.x = s.shared ? leaf({s.N, s.T, d}, 1) : leaf({s.n, s.N, s.T, d}, 1);
  if (padded) p.padding = at::rand({s.N, s.T}).lt(0.3);
  p.parameters = {leaf({s.n, 3 * d, d}, narrow), leaf({s.n, 3 * d}, 0.1),      leaf({s.n, d, d}, narrow),
                  leaf({s.n, d}, 0.1),           leaf({s.n, s.ff, d}, narrow), leaf({s.n, s.ff}, 0.1),
                  leaf({s.n, d, s.ff}, wide),    leaf({s.n, d}, 0.1),          leaf({s.n, d}, 0.1, 1),
                  leaf({s.n, d}, 0.1),           leaf({s.n, d}, 0.1, 1),       leaf({s.n, d}, 0.1)};
  p.options = {.heads = s.heads, .mean = s.mean, .dropout = dropout};
  p.options.attention_seed = 11, p.options.hidden_seed = 12, p.options.output_seed = 13;
  return p;
}

struct Results {
  std::vector<at::Tensor> tensors;  // output, gradient of x, gradients of the parameters
  std::vector<double> squares;      // of the samples, if recorded
};

Results Evaluate(const Problem& given, c10::ScalarType dtype, bool record) {
  const Problem p = given.As(dtype);
  const tscore::Recorder::Ptr recorder = record ? tscore::Recorder::Open() : nullptr;
  const at::Tensor y = p.Run();
  if (record) recorder->Close();
  at::manual_seed(6);
  (y * at::randn(y.sizes(), c10::kDouble).to(dtype)).sum().backward();
  Results results = {{y.detach(), p.x.grad()}, {}};
  std::vector<tscore::NamedParameter> named;
  for (size_t i = 0; i < p.parameters.size(); ++i) {
    results.tensors.push_back(p.parameters[i].grad());
    named.push_back({absl::StrFormat("parameter %d", i), p.parameters[i]});
  }
  if (!record) return results;
  // With verify, the samples' gradients are made one by one and added up.
  const auto score = recorder->Finish(named, /*verify=*/true);
  EXPECT_TRUE(score.ok()) << score.status();
  if (score.ok()) results.squares = score->sample_sq;
  return results;
}

void ExpectAgree(const Problem& p, bool record) {
  const Results expected = Evaluate(p, c10::kDouble, record), got = Evaluate(p, c10::kFloat, record);
  ASSERT_EQ(got.tensors.size(), expected.tensors.size());
  for (size_t i = 0; i < got.tensors.size(); ++i) {
    const at::Tensor &a = got.tensors[i], &b = expected.tensors[i];
    ASSERT_EQ(a.sizes(), b.sizes()) << i;
    if (a.numel() == 0) continue;
    EXPECT_LE((a - b).abs().max().item<double>(), 3e-5 * std::max(1.0, b.abs().max().item<double>())) << i;
  }
  ASSERT_EQ(got.squares.size(), expected.squares.size());
  for (size_t i = 0; i < got.squares.size(); ++i)
    EXPECT_NEAR(got.squares[i], expected.squares[i], 1e-4 * expected.squares[i]) << "sample " << i;
}

void RunGrid(const std::vector<Sizes>& grid) {
  int draw = 0;
  for (Sizes s : grid) {
    for (const bool shared : {true, false}) {
      for (const bool mean : {true, false}) {
        s.shared = shared, s.mean = mean;
        const bool padded = draw % 3 == 1, record = draw % 2 == 0;
        const double dropout = draw % 5 < 2 ? 0.3 : 0;
        ++draw;
        SCOPED_TRACE(absl::StrFormat("n=%d N=%d T=%d heads=%d width=%d ff=%d shared=%d mean=%d padded=%d dropout=%g",
                                     s.n, s.N, s.T, s.heads, s.width, s.ff, shared, mean, padded, dropout));
        ExpectAgree(Make(s, dropout, padded), record);
      }
    }
  }
}

TEST(EncoderBlocks, AgreeWithPlainOperators) {
  RunGrid({{1, 1, 1, 1, 1, 1},
           {3, 2, 7, 2, 3, 5},
           {2, 5, 33, 3, 5, 20},
           {1, 3, 65, 1, 16, 33},
           {4, 3, 100, 2, 16, 64},
           {2, 1, 130, 4, 8, 17}});
}
// More samples than one group of the backward takes, and than one chunk.
TEST(EncoderBlocks, AgreeWithPlainOperatorsOnManySamples) {
  RunGrid({{2, 37, 33, 2, 4, 12}, {1, 300, 5, 1, 8, 9}, {2, 3, 600, 2, 8, 16}});
}
TEST(EncoderBlocks, AgreeWithPlainOperatorsOnEmptyInputs) {
  for (const bool mean : {true, false}) {
    for (const auto& [N, T] : {std::pair(0, 3), std::pair(2, 0)}) {
      Sizes s = {2, N, T, 1, 4, 5};
      s.mean = mean;
      ExpectAgree(Make(s), /*record=*/false);
    }
  }
}
TEST(EncoderBlocks, AgreeWithPlainOperatorsOnEveryInstructionSetOfThisCpu) {
  ForEveryInstructionSet([](const char* name) {
    SCOPED_TRACE(name);
    RunGrid({{2, 3, 29, 2, 5, 18}});
  });
}

TEST(EncoderBlocks, ResultsAreTheSameBitsForAnyNumberOfThreads) {
  for (const bool record : {false, true}) {
    const Problem p = Make({3, 37, 33, 2, 9, 21}, 0.2, true);
    std::vector<Results> all;
    for (const int threads : {1, 2, 3, 5}) {
      const ThreadScope scope(threads);
      all.push_back(Evaluate(p, c10::kFloat, record));
      for (size_t i = 0; i < all[0].tensors.size(); ++i)
        EXPECT_TRUE(at::equal(all[0].tensors[i], all.back().tensors[i])) << threads << " " << i;
      EXPECT_EQ(all[0].squares, all.back().squares);
    }
  }
}

TEST(EncoderBlocks, TheOutputIsTheSameWithoutGradients) {
  const Problem p = Make({3, 5, 40, 2, 4, 12}, 0.1);
  const at::Tensor with = p.Run();
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(with, p.Run()));
}

TEST(EncoderBlocks, ASecondBackwardThroughTheSameGraphGivesTheSame) {
  const Problem p = Make({2, 3, 9, 2, 4, 12}, 0.1);
  std::vector<at::Tensor> leaves = {p.x};
  leaves.insert(leaves.end(), p.parameters.begin(), p.parameters.end());
  const at::Tensor loss = p.Run().square().sum();
  const auto first = torch::autograd::grad({loss}, leaves, {}, /*retain_graph=*/true);
  const auto second = torch::autograd::grad({loss}, leaves);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(at::equal(first[i], second[i])) << i;
}

TEST(EncoderBlocks, FrozenParametersAndInputsGetNoGradient) {
  const Problem all = Make({2, 3, 9, 2, 4, 12});
  all.Run().square().sum().backward();
  for (size_t frozen = 0; frozen <= kEncoderParameters; ++frozen) {
    Problem p = Make({2, 3, 9, 2, 4, 12});
    at::Tensor& leaf = frozen < kEncoderParameters ? p.parameters[frozen] : p.x;
    leaf.set_requires_grad(false);
    p.Run().square().sum().backward();
    EXPECT_FALSE(leaf.grad().defined()) << frozen;
    for (size_t i = 0; i < kEncoderParameters; ++i) {
      if (i == frozen) continue;
      EXPECT_TRUE(at::equal(p.parameters[i].grad(), all.parameters[i].grad())) << frozen << " " << i;
    }
  }
}

TEST(EncoderBlocks, AParameterChangedBehindTheForwardIsNoticed) {
  const Problem p = Make({1, 2, 3, 1, 4, 5});
  const at::Tensor loss = p.Run().sum();
  {
    const at::NoGradGuard no_grad;
    p.parameters[kWeight1].add_(1);
  }
  EXPECT_THROW(loss.backward(), c10::Error);
}

TEST(EncoderBlocks, NanReachesItsSampleAndNoOther) {
  const Problem p = Make({2, 3, 40, 2, 4, 12});
  const at::NoGradGuard no_grad;
  p.x[1][11].fill_(std::numeric_limits<float>::quiet_NaN());
  const at::Tensor y = p.Run();
  EXPECT_TRUE(at::isnan(y[1].narrow(0, 11, 29)).all().item<bool>());
  EXPECT_TRUE(at::isfinite(y[0]).all().item<bool>());
  EXPECT_TRUE(at::isfinite(y[2]).all().item<bool>());
}

TEST(EncoderBlocks, WrongShapesAreNamedWithTheTag) {
  const auto expect = [](const char* words, const std::function<void(Problem&)>& spoil) {
    Problem p = Make({2, 3, 5, 2, 4, 12});
    spoil(p);
    try {
      p.Run();
      ADD_FAILURE() << "expected: " << words;
    } catch (const c10::Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  expect("[encoder_blocks] input must be (N, T, 8) or (2, N, T, 8)", [](Problem& p) { p.x = at::zeros({3, 5, 9}); });
  expect("[encoder_blocks] input must be (N, T, 8)", [](Problem& p) { p.x = at::zeros({3, 3, 5, 8}); });
  expect("[encoder_blocks] 3 heads do not divide the width 8", [](Problem& p) { p.options.heads = 3; });
  expect("[encoder_blocks] dropout must be in [0, 1)", [](Problem& p) { p.options.dropout = 1; });
  expect("[encoder_blocks] padding must be a bool (3, 5)", [](Problem& p) {
    p.padding = at::zeros({3, 4}, at::kBool);
  });
  expect("[encoder_blocks] parameter 6 must be [2, 8, 12]",
         [](Problem& p) { p.parameters[kWeight2] = at::zeros({2}); });
  expect("[encoder_blocks] all parameters must be Float", [](Problem& p) { p.parameters[kBias1] = at::Tensor(); });
}

TEST(EncoderBlocks, ASecondDerivativeIsRefusedByName) {
  const Problem p = Make({1, 2, 3, 1, 2, 3});
  try {
    torch::autograd::grad({p.Run().sum()}, {p.x}, {}, /*retain_graph=*/true, /*create_graph=*/true);
    ADD_FAILURE() << "expected an error";
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what()).find("[encoder_blocks] has no second derivative"), std::string::npos);
  }
}

}  // namespace
}  // namespace lanthorn::kernels
