// Fused encoder blocks (float32) against the same from plain operators in float64, with the same dropout.
#include "engine/kernels/encoder/encoder_blocks.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "absl/strings/str_format.h"
#include "tests/engine/kernels/operator_case.h"

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

// The operator computes float64 by plain operators.
OperatorProblem Describe(const Problem& p, const std::string& words) {
  const auto run = [p](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
    EncoderParameters parameters;
    std::copy(leaves.begin() + 1, leaves.end(), parameters.begin());
    return {EncoderBlocks(leaves[0], p.padding, parameters, p.options)};
  };
  OperatorProblem problem = {words, {{"x", p.x}}, run, run};
  for (size_t i = 0; i < p.parameters.size(); ++i)
    problem.leaves.push_back({absl::StrFormat("parameter %d", i), p.parameters[i], /*parameter=*/true});
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

const RegisterOperatorCase encoder_blocks({
    .name = "encoder_blocks",
    .tolerance = 3e-5,
    .sample_tolerance = 1e-4,
    .all =
        [](const auto& visit) {
          RunGrid(visit, {{1, 1, 1, 1, 1, 1},
                          {3, 2, 7, 2, 3, 5},
                          {2, 5, 33, 3, 5, 20},
                          {1, 3, 65, 1, 16, 33},
                          {4, 3, 100, 2, 16, 64},
                          {2, 1, 130, 4, 8, 17}});
          // More samples than one group of the backward takes, and than one chunk.
          RunGrid(visit, {{2, 37, 33, 2, 4, 12}, {1, 300, 5, 1, 8, 9}, {2, 3, 600, 2, 8, 16}});
          RunGrid(visit, {{2, 0, 3, 1, 4, 5}, {2, 2, 0, 1, 4, 5}});
        },
    .few =
        [](const auto& visit) {
          RunGrid(visit, {{2, 3, 29, 2, 5, 18}});
        },
    .threads =
        [](const auto& visit) {
          visit(Describe(Make({3, 37, 33, 2, 9, 21}, 0.2, true), ""));
        },
    .small =
        [] {
          return Describe(Make({2, 3, 9, 2, 4, 12}, 0.1), "");
        },
});

TEST(EncoderBlocks, TheOutputIsTheSameWithoutGradients) {
  const Problem p = Make({3, 5, 40, 2, 4, 12}, 0.1);
  const at::Tensor with = p.Run();
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(with, p.Run()));
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

}  // namespace
}  // namespace lanthorn::kernels
