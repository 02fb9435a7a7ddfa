// The fused residual step of several nodes (float32) against plain operators in float64, with the same dropout.
#include "engine/kernels/encoder/add_norm.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_format.h"
#include "tests/engine/kernels/expect_error.h"
#include "tests/engine/kernels/operator_case.h"

namespace lanthorn::kernels {
namespace {

struct Problem {
  at::Tensor x, y, weight, bias;  // y, bias, and both weight and bias may be undefined
  NormOptions options;
};

struct Sizes {
  int64_t n, N, K, d;                        // n = 0: one node without a dimension of its own
  bool shared, with_y, bias, weight = true;  // weight false: for n = 0, without bias
};

Problem Make(const Sizes& s, const NormOptions& options) {
  at::manual_seed(31);
  const auto leaf = [](std::vector<int64_t> sizes) { return at::randn(sizes).set_requires_grad(true); };
  Problem p;
  p.options = options;
  p.x = s.shared || s.n == 0 ? leaf({s.N, s.K, s.d}) : leaf({s.n, s.N, s.K, s.d});
  if (s.with_y) p.y = s.n == 0 ? leaf({s.N, s.K, s.d}) : leaf({s.n, s.N, s.K, s.d});
  if (s.weight) p.weight = s.n == 0 ? leaf({s.d}) : leaf({s.n, s.d});
  if (s.bias) p.bias = s.n == 0 ? leaf({s.d}) : leaf({s.n, s.d});
  return p;
}

enum class Used { kNormed, kBoth };  // outputs that the loss reads

OperatorProblem Describe(const Problem& p, Used used, const std::string& words) {
  const bool with_y = p.y.defined(), with_weight = p.weight.defined();
  const auto run = [p, used, with_y, with_weight](const auto& function) {
    return [p, used, with_y, with_weight, function](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
      size_t at = 0;
      const at::Tensor x = leaves[at++], y = with_y ? leaves[at++] : at::Tensor(),
                       weight = with_weight ? leaves[at++] : at::Tensor(),
                       bias = at < leaves.size() ? leaves[at] : at::Tensor();
      const AddNormOutput output = function(x, y, weight, bias, p.options, "test");
      return used == Used::kBoth ? std::vector{output.normed, output.sum} : std::vector{output.normed};
    };
  };
  OperatorProblem problem = {words, {{"x", p.x}}, run(&AddNorm), run(&AddNormReference)};
  if (with_y) problem.leaves.push_back({"y", p.y});
  if (with_weight) problem.leaves.push_back({"weight", p.weight, /*parameter=*/true});
  if (p.bias.defined()) problem.leaves.push_back({"bias", p.bias, /*parameter=*/true});
  return problem;
}

void RunGrid(const OperatorCase::Visit& visit, const std::vector<int64_t>& nodes, const std::vector<int64_t>& samples,
             const std::vector<int64_t>& rows, const std::vector<int64_t>& widths) {
  int draw = 0;
  for (const int64_t n : nodes) {
    for (const int64_t N : samples) {
      for (const int64_t K : rows) {
        for (const int64_t d : widths) {
          for (const bool rms : {false, true}) {
            const bool weight = n > 0 || draw % 5 != 1;
            const Sizes sizes = {n, N, K, d, draw % 2 == 0, draw % 4 != 3, weight && draw % 3 != 0, weight};
            const NormOptions options = {rms, 1e-5, draw % 5 < 2 ? 0.3 : 0.0, 9};
            const Used used = draw % 7 < 3 ? Used::kBoth : Used::kNormed;
            ++draw;
            visit(Describe(
                Make(sizes, options), used,
                absl::StrFormat("n=%d N=%d K=%d d=%d shared=%d with_y=%d weight=%d bias=%d rms=%d dropout=%g", n, N, K,
                                d, sizes.shared, sizes.with_y, weight, sizes.bias, rms, options.dropout)));
          }
        }
      }
    }
  }
}

const RegisterOperatorCase add_norm({
    .name = "add_norm",
    .tolerance = 2e-5,
    .sample_tolerance = 2e-5,
    .all =
        [](const auto& visit) {
          RunGrid(visit, {0, 1, 3}, {1, 3}, {1, 7, 65}, {3, 5, 16, 33, 130});
          RunGrid(visit, {0, 2}, {0, 2}, {0}, {3});
        },
    .few =
        [](const auto& visit) {
          RunGrid(visit, {0, 2}, {2}, {5, 70}, {4, 16, 37});
        },
    .threads =
        [](const auto& visit) {
          visit(Describe(Make({3, 7, 141, 37, true, true, true}, {false, 1e-5, 0.2, 3}), Used::kBoth, ""));
        },
    .small =
        [] {
          return Describe(Make({2, 3, 5, 7, true, true, true}, {false, 1e-5, 0.2, 3}), Used::kNormed, "");
        },
});

TEST(AddNorm, ALossOfTheSumAloneHasNoGradientForTheNorm) {
  const Problem p = Make({0, 2, 3, 5, true, true, true}, {});
  AddNorm(p.x, p.y, p.weight, p.bias, p.options).sum.sum().backward();
  EXPECT_TRUE(at::equal(p.x.grad(), at::ones_like(p.x)));
  EXPECT_TRUE(at::equal(p.y.grad(), at::ones_like(p.y)));
  EXPECT_EQ(p.weight.grad().abs().max().item<double>(), 0);
}

TEST(AddNorm, NanReachesItsRowAndNoOther) {
  for (const bool rms : {false, true}) {
    const Problem p = Make({0, 2, 3, 21, true, true, true}, {rms});
    at::NoGradGuard no_grad;
    p.y[1][2][20] = std::numeric_limits<float>::quiet_NaN();
    const at::Tensor y = AddNorm(p.x, p.y, p.weight, p.bias, p.options).normed;
    EXPECT_TRUE(at::isnan(y[1][2]).all().item<bool>());
    EXPECT_FALSE(at::isnan(y[0]).any().item<bool>());
  }
}

TEST(AddNorm, WrongShapesAreNamedWithTheTag) {
  const auto expect = [](const char* words, const std::function<void()>& run) { ExpectError("add_norm", words, run); };
  expect("x must be (N, ..., 4)", [] { AddNorm(at::ones({2, 3}), {}, at::ones({4}), {}, {}); });
  expect("y must have the shape of x", [] { AddNorm(at::ones({2, 4}), at::ones({3, 4}), at::ones({4}), {}, {}); });
  expect("input for 3 nodes must be", [] {
    AddNorm(at::ones({2, 2, 4}), at::ones({2, 2, 4}), at::ones({3, 4}), {}, {});
  });
  expect("a bias needs a weight", [] { AddNorm(at::ones({2, 4}), {}, {}, at::ones({4}), {}); });
  expect("bias must be [4]", [] { AddNorm(at::ones({2, 4}), {}, at::ones({4}), at::ones({3}), {}); });
}

}  // namespace
}  // namespace lanthorn::kernels
