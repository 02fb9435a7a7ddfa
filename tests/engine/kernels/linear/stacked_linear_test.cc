// Fused linear layers of several nodes (float32) against plain operators in float64, with the same dropout.
#include "engine/kernels/linear/stacked_linear.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_format.h"
#include "engine/tscore/recorder.h"
#include "tests/engine/kernels/expect_error.h"
#include "tests/engine/kernels/operator_case.h"

namespace lanthorn::kernels {
namespace {

struct Problem {
  at::Tensor x, weight, bias;  // bias may be undefined
  LinearOptions options;
};

struct Sizes {
  int64_t n, N, K, in, out;  // n = 0: one node without a dimension of its own
  bool shared, bias;
};

Problem Make(const Sizes& s, const LinearOptions& options) {
  at::manual_seed(21);
  const auto leaf = [](std::vector<int64_t> sizes, double scale) {
    return (at::randn(sizes) * scale).set_requires_grad(true);
  };
  const double scale = 1 / std::sqrt(static_cast<double>(s.in));
  Problem p;
  p.options = options;
  p.x = s.shared || s.n == 0 ? leaf({s.N, s.K, s.in}, 1) : leaf({s.n, s.N, s.K, s.in}, 1);
  p.weight = s.n == 0 ? leaf({s.out, s.in}, scale) : leaf({s.n, s.out, s.in}, scale);
  if (s.bias) p.bias = s.n == 0 ? leaf({s.out}, 1) : leaf({s.n, s.out}, 1);
  return p;
}

OperatorProblem Describe(const Problem& p, const std::string& words) {
  const auto run = [p](const auto& function) {
    return [p, function](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
      return {function(leaves[0], leaves[1], leaves.size() > 2 ? leaves[2] : at::Tensor(), p.options, "test")};
    };
  };
  OperatorProblem problem = {
      words, {{"x", p.x}, {"weight", p.weight, /*parameter=*/true}}, run(&StackedLinear), run(&StackedLinearReference)};
  if (p.bias.defined()) problem.leaves.push_back({"bias", p.bias, /*parameter=*/true});
  return problem;
}

constexpr Activation kActivations[] = {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu,
                                       Activation::kRelu2};

void RunGrid(const OperatorCase::Visit& visit, const std::vector<int64_t>& nodes, const std::vector<int64_t>& samples,
             const std::vector<int64_t>& rows, const std::vector<int64_t>& ins, const std::vector<int64_t>& outs) {
  int draw = 0;
  for (const int64_t n : nodes) {
    for (const int64_t N : samples) {
      for (const int64_t K : rows) {
        for (const int64_t in : ins) {
          for (const int64_t out : outs) {
            const Sizes sizes = {n, N, K, in, out, draw % 2 == 0, draw % 3 != 0};
            const LinearOptions options = {kActivations[draw % 5], draw % 7 < 3 ? 0.3 : 0.0, 9};
            ++draw;
            visit(Describe(
                Make(sizes, options),
                absl::StrFormat("n=%d N=%d K=%d in=%d out=%d shared=%d bias=%d activation=%d dropout=%g", n, N, K, in,
                                out, sizes.shared, sizes.bias, static_cast<int>(options.activation), options.dropout)));
          }
        }
      }
    }
  }
}

const RegisterOperatorCase stacked_linear({
    .name = "stacked_linear",
    .tolerance = 1e-5,
    .sample_tolerance = 1e-5,
    .all =
        [](const auto& visit) {
          RunGrid(visit, {0, 1, 3}, {1, 3}, {1, 7, 33}, {1, 5, 16, 33}, {1, 15, 40});
          RunGrid(visit, {0, 2}, {2, 5}, {65, 300}, {129, 500}, {17, 400});
          RunGrid(visit, {0, 2}, {0, 2}, {0}, {3}, {4});
        },
    .few =
        [](const auto& visit) {
          RunGrid(visit, {0, 2}, {2}, {5, 29}, {3, 20}, {4, 16, 33});
        },
    .threads =
        [](const auto& visit) {
          visit(Describe(Make({3, 7, 41, 37, 70, true, true}, {Activation::kGelu, 0.2, 3}), ""));
        },
    .small =
        [] {
          return Describe(Make({2, 3, 5, 4, 6, true, true}, {Activation::kGelu}), "");
        },
});

TEST(StackedLinear, GeluIsExactOverItsWholeRange) {
  const at::Tensor z = at::linspace(-12, 12, 20001), one = at::ones({1, 1});
  const at::Tensor x = z.unsqueeze(1).set_requires_grad(true);
  const at::Tensor y = StackedLinear(x, one, {}, {Activation::kGelu});
  y.sum().backward();
  const at::Tensor wide = z.to(c10::kDouble).set_requires_grad(true), expected = at::gelu(wide);
  expected.sum().backward();
  EXPECT_LE((y.squeeze(1) - expected).abs().max().item<double>(), 2e-6);
  EXPECT_LE((x.grad().squeeze(1) - wide.grad()).abs().max().item<double>(), 1e-6);
}

TEST(StackedLinear, LargeGradientsHaveFiniteSquares) {
  const Problem p = Make({0, 2, 3, 4, 5, true, true}, {});
  const tscore::Recorder::Ptr recorder = tscore::Recorder::Open();
  const at::Tensor y = StackedLinear(p.x, p.weight, p.bias);
  recorder->Close();
  (y * 1e25).sum().backward();
  const auto score = recorder->Finish({{"weight", p.weight}, {"bias", p.bias}});
  ASSERT_TRUE(score.ok()) << score.status();
  EXPECT_TRUE(std::isfinite(score->q));
}

TEST(StackedLinear, NanReachesTheOutputThroughEveryActivation) {
  for (const Activation activation : kActivations) {
    const Problem p = Make({0, 2, 3, 4, 21, true, true}, {activation});
    at::NoGradGuard no_grad;
    p.x[1][2][0] = std::numeric_limits<float>::quiet_NaN();
    const at::Tensor y = StackedLinear(p.x, p.weight, p.bias, p.options);
    EXPECT_TRUE(at::isnan(y[1][2]).all().item<bool>()) << static_cast<int>(activation);
    EXPECT_FALSE(at::isnan(y[0]).any().item<bool>());
  }
}

TEST(StackedLinear, WrongShapesAreNamedWithTheTag) {
  const auto expect = [](const char* words, const std::function<void()>& run) {
    ExpectError("stacked_linear", words, run);
  };
  expect("input must be (N, ..., 4)", [] { StackedLinear(at::ones({2, 3}), at::ones({5, 4}), {}); });
  expect("input for 3 nodes must be", [] { StackedLinear(at::ones({2, 2, 2, 4}), at::ones({3, 5, 4}), {}); });
  expect("bias must be [5]", [] { StackedLinear(at::ones({2, 4}), at::ones({5, 4}), at::ones({4})); });
  expect("weight must be", [] { StackedLinear(at::ones({2, 4}), at::ones({4}), {}); });
  expect("a parameter Double", [] { StackedLinear(at::ones({2, 4}), at::ones({5, 4}, c10::kDouble), {}); });
}

}  // namespace
}  // namespace lanthorn::kernels
