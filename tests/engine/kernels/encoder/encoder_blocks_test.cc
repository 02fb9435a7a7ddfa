// Fused encoder blocks (float32) against the same from plain operators in float64, with the same dropout.
#include "engine/kernels/encoder/encoder_blocks.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "absl/strings/str_format.h"
#include "engine/kernels/encoder/recompute.h"
#include "engine/tscore/recorder.h"
#include "tests/engine/kernels/operator_case.h"

namespace lanthorn::kernels {
namespace {

struct Sizes {
  int64_t n, N, T, heads, width, ff;
  bool shared = true, mean = true;
};

// What a block is, beside its sizes.
struct Kind {
  bool norm_first = false, rms = false, gated = false;
  Activation activation = Activation::kGelu;
  bool biases = true, norm_weights = true;
  bool narrow = false;  // the heads together are narrower than the block
  bool stacked = true;  // else one block without the dimension of nodes
  bool drops_attended = false;
  bool related = false;  // positions have relations
};

struct Problem {
  at::Tensor x, padding;
  EncoderParameters parameters;
  EncoderOptions options;
  RelationBias bias = {};

  at::Tensor Run() const { return EncoderBlocks(x, padding, parameters, options, "encoder_blocks", bias); }
};

Problem Make(const Sizes& s, double dropout = 0, bool padded = false, const Kind& kind = {}) {
  at::manual_seed(5);
  const int64_t inner = s.heads * s.width, d = kind.narrow ? inner + 3 : inner, wide = kind.gated ? 2 * s.ff : s.ff;
  const auto leaf = [](std::vector<int64_t> sizes, double scale, double shift = 0) {
    return (at::randn(sizes) * scale + shift).set_requires_grad(true);
  };
  const auto of_nodes = [&](bool there, std::vector<int64_t> sizes, double scale, double shift = 0) {
    if (kind.stacked) sizes.insert(sizes.begin(), s.n);
    return there ? leaf(sizes, scale, shift) : at::Tensor();
  };
  const auto deviation = [](int64_t fan_in) { return 1 / std::sqrt(static_cast<double>(fan_in)); };
  Problem p;
  p.x = s.shared ? leaf({s.N, s.T, d}, 1) : leaf({s.n, s.N, s.T, d}, 1);
  if (padded) p.padding = at::rand({s.N, s.T}).lt(0.3);
  p.parameters = {of_nodes(true, {3 * inner, d}, deviation(d)), of_nodes(kind.biases, {3 * inner}, 0.1),
                  of_nodes(true, {d, inner}, deviation(inner)), of_nodes(kind.biases, {d}, 0.1),
                  of_nodes(true, {wide, d}, deviation(d)),      of_nodes(kind.biases, {wide}, 0.1),
                  of_nodes(true, {d, s.ff}, deviation(s.ff)),   of_nodes(kind.biases, {d}, 0.1),
                  of_nodes(kind.norm_weights, {d}, 0.1, 1),     of_nodes(kind.norm_weights && !kind.rms, {d}, 0.1),
                  of_nodes(kind.norm_weights, {d}, 0.1, 1),     of_nodes(kind.norm_weights && !kind.rms, {d}, 0.1)};
  p.options = {.heads = s.heads,
               .mean = s.mean,
               .norm_first = kind.norm_first,
               .rms = kind.rms,
               .activation = kind.activation,
               .gated = kind.gated};
  p.options.dropout = {dropout, kind.drops_attended ? dropout : 0, dropout, dropout};
  p.options.seeds = {11, 14, 12, 13};
  if (kind.related) {
    p.options.causal = false;
    p.bias = {at::randint(5, {s.N, s.T}, c10::kLong) * at::rand({s.N, s.T}).lt(0.6), leaf({2, 5}, 1)};
  }
  return p;
}

// The operator computes float64 by plain operators.
OperatorProblem Describe(const Problem& p, const std::string& words) {
  const auto run = [p](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
    EncoderParameters parameters;
    size_t leaf = 1;
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (p.parameters[i].defined()) parameters[i] = leaves[leaf++];
    }
    RelationBias bias = p.bias;
    if (bias.defined()) bias.tables = leaves.back();
    return {EncoderBlocks(leaves[0], p.padding, parameters, p.options, "encoder_blocks", bias)};
  };
  OperatorProblem problem = {words, {{"x", p.x}}, run, run};
  for (size_t i = 0; i < p.parameters.size(); ++i)
    if (p.parameters[i].defined())
      problem.leaves.push_back({absl::StrFormat("parameter %d", i), p.parameters[i], /*parameter=*/true});
  if (p.bias.defined()) problem.leaves.push_back({"tables", p.bias.tables, /*parameter=*/true});
  return problem;
}

void RunGrid(const OperatorCase::Visit& visit, const std::vector<Sizes>& grid) {
  int draw = 0;
  for (Sizes s : grid) {
    for (const bool shared : {true, false}) {
      for (const bool mean : {true, false}) {
        s.shared = shared, s.mean = mean;
        const bool padded = draw % 3 == 1;
        const double dropout = draw % 5 < 2 ? 0.3 : 0;
        ++draw;
        visit(Describe(Make(s, dropout, padded),
                       absl::StrFormat("n=%d N=%d T=%d heads=%d width=%d ff=%d shared=%d mean=%d padded=%d dropout=%g",
                                       s.n, s.N, s.T, s.heads, s.width, s.ff, shared, mean, padded, dropout)));
      }
    }
  }
}

struct NamedKind {
  const char* name;
  Kind kind;
};
const std::vector<NamedKind> kKinds = {
    {"post-norm, one block, dropout everywhere", {.stacked = false, .drops_attended = true}},
    {"post-norm rms swiglu without biases", {.rms = true, .gated = true, .biases = false}},
    {"pre-norm", {.norm_first = true, .drops_attended = true}},
    {"pre-norm rms relu2, nothing but matrices",
     {.norm_first = true, .rms = true, .activation = Activation::kRelu2, .biases = false, .norm_weights = false}},
    {"pre-norm swiglu, one block, narrow heads",
     {.norm_first = true, .gated = true, .narrow = true, .stacked = false, .drops_attended = true}},
    {"pre-norm gelu_tanh, one block, rms",
     {.norm_first = true, .rms = true, .activation = Activation::kGeluTanh, .stacked = false}},
    {"post-norm with relations, one block", {.stacked = false, .drops_attended = true, .related = true}},
    {"pre-norm rms swiglu with relations, one block",
     {.norm_first = true, .rms = true, .gated = true, .stacked = false, .related = true}},
};

// Every kind of block, with one node where it is one block.
void RunKinds(const OperatorCase::Visit& visit, Sizes s, double dropout, bool padded) {
  for (const NamedKind& one : kKinds) {
    Sizes own = s;
    if (!one.kind.stacked) own.n = 1, own.shared = true, own.mean = false;
    visit(Describe(
        Make(own, dropout, padded, one.kind),
        absl::StrFormat("%s, n=%d N=%d T=%d heads=%d width=%d ff=%d shared=%d mean=%d dropout=%g padded=%d", one.name,
                        own.n, own.N, own.T, own.heads, own.width, own.ff, own.shared, own.mean, dropout, padded)));
  }
}

const RegisterOperatorCase encoder_blocks({
    .name = "encoder_blocks",
    .tolerance = 3e-5,
    .sample_tolerance = 1e-4,
    .all =
        [](const auto& visit) {
          RunGrid(visit, {{1, 1, 1, 1, 1, 1},
                          {3, 5, 7, 2, 3, 5},
                          {2, 5, 33, 3, 5, 20},
                          {1, 5, 65, 1, 16, 33},
                          {4, 4, 100, 2, 16, 64},
                          {2, 1, 130, 4, 8, 17}});
          // More samples than one group of the backward takes, and than one chunk.
          RunGrid(visit, {{2, 37, 33, 2, 4, 12}, {1, 300, 5, 1, 8, 9}, {2, 4, 600, 2, 8, 16}});
          RunGrid(visit, {{2, 0, 3, 1, 4, 5}, {2, 2, 0, 1, 4, 5}});
          RunKinds(visit, {2, 5, 33, 3, 5, 20}, 0.3, true);
          RunKinds(visit, {3, 4, 65, 2, 16, 33, /*shared=*/false, /*mean=*/false}, 0, false);
          RunKinds(visit, {2, 2, 20, 2, 4, 9}, 0.3, true);  // so few samples go part by part
          RunKinds(visit, {1, 70, 20, 2, 8, 40}, 0.2, false);
          // Weights beyond kSmallWeights, for which a chunk has more samples.
          RunKinds(visit, {1, 5, 40, 2, 96, 1100}, 0.1, false);
        },
    .few =
        [](const auto& visit) {
          RunGrid(visit, {{2, 4, 29, 2, 5, 18}});
          RunKinds(visit, {2, 4, 29, 2, 5, 18}, 0.2, true);
        },
    .threads =
        [](const auto& visit) {
          visit(Describe(Make({3, 37, 33, 2, 9, 21}, 0.2, true), ""));
          RunKinds(visit, {2, 37, 33, 2, 9, 21}, 0.2, true);
          RunKinds(visit, {1, 7, 40, 2, 96, 1100}, 0.1, false);
        },
    .small =
        [] {
          return Describe(Make({2, 4, 9, 2, 4, 12}, 0.1), "");
        },
});

TEST(EncoderBlocks, TheOutputIsTheSameWithoutGradients) {
  const Problem p = Make({3, 5, 40, 2, 4, 12}, 0.1);
  const at::Tensor with = p.Run();
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(with, p.Run()));
}

// Output, gradients and the samples' squares of one forward and backward.
std::vector<at::Tensor> AllOf(const OperatorProblem& problem, bool recompute) {
  std::vector<at::Tensor> leaves, results;
  std::vector<tscore::NamedParameter> parameters;
  for (const Leaf& leaf : problem.leaves) {
    leaves.push_back(leaf.tensor.detach().clone().set_requires_grad(true));
    if (leaf.parameter) parameters.push_back({leaf.name, leaves.back()});
  }
  const tscore::Recorder::Ptr recorder = tscore::Recorder::Open();
  {
    const RecomputeScope scope(recompute);
    results = problem.fused(leaves);
  }
  recorder->Close();
  const at::Tensor y = results[0];
  at::manual_seed(8);
  (y * at::randn(y.sizes())).sum().backward();
  for (const at::Tensor& leaf : leaves) results.push_back(leaf.grad());
  const auto score = recorder->Finish(parameters);
  EXPECT_TRUE(score.ok()) << score.status();
  if (score.ok()) results.push_back(at::tensor(score->sample_sq));
  return results;
}

TEST(EncoderBlocks, WhatIsComputedAgainHasTheSameBits) {
  const auto compare = [](const OperatorProblem& problem) {
    SCOPED_TRACE(problem.words);
    const std::vector<at::Tensor> kept = AllOf(problem, false), again = AllOf(problem, true);
    ASSERT_EQ(kept.size(), again.size());
    for (size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(at::equal(kept[i], again[i])) << i;
  };
  RunKinds(compare, {2, 5, 33, 3, 5, 20}, 0.3, true);
  RunKinds(compare, {1, 2, 33, 3, 5, 20}, 0.3, true);
  compare(Describe(Make({3, 4, 9, 2, 4, 12}, 0.1), "a mean of nodes"));
}

TEST(EncoderBlocks, AFrozenBlockThatIsComputedAgainPassesGradientsOn) {
  const Problem p = Make({1, 4, 5, 1, 4, 5});
  for (const at::Tensor& parameter : p.parameters) parameter.requires_grad_(false);
  const RecomputeScope scope(true);
  p.Run().square().sum().backward();
  EXPECT_TRUE(p.x.grad().defined());
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
  expect("[encoder_blocks] dropout must be in [0, 1)", [](Problem& p) { p.options.dropout[kDropFed] = 1; });
  expect("[encoder_blocks] padding must be a bool (3, 5)", [](Problem& p) {
    p.padding = at::zeros({3, 4}, at::kBool);
  });
  expect("[encoder_blocks] parameter 4 must be [2, 12, 8]",
         [](Problem& p) { p.parameters[kWeight1] = at::zeros({2}); });
  expect("[encoder_blocks] all weights, and what is given of biases and norms, must be Float",
         [](Problem& p) { p.parameters[kWeight1] = at::Tensor(); });
  expect("[encoder_blocks] the biases of the linear layers must be given together",
         [](Problem& p) { p.parameters[kBias1] = at::Tensor(); });
  expect("[encoder_blocks] a norm's bias needs a weight beside it",
         [](Problem& p) { p.parameters[kNorm1Weight] = p.parameters[kNorm2Weight] = at::Tensor(); });
  expect("[encoder_blocks] parameter 4 must be [2, 24, 8]", [](Problem& p) { p.options.gated = true; });
}

}  // namespace
}  // namespace lanthorn::kernels
