// Fused linear layers of several nodes (float32) against plain operators in float64, with the same dropout.
#include "engine/kernels/linear/stacked_linear.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "absl/strings/str_format.h"
#include "engine/tscore/recorder.h"
#include "tests/engine/kernels/kernel_scopes.h"

namespace lanthorn::kernels {
namespace {

struct Problem {
  at::Tensor x, weight, bias;  // bias may be undefined
  LinearOptions options;

  std::vector<std::pair<const char*, at::Tensor>> Leaves() const {
    std::vector<std::pair<const char*, at::Tensor>> leaves = {{"x", x}, {"weight", weight}};
    if (bias.defined()) leaves.emplace_back("bias", bias);
    return leaves;
  }
  Problem As(c10::ScalarType dtype) const {
    const auto as = [&](const at::Tensor& tensor) {
      return tensor.defined() ? tensor.detach().to(dtype).set_requires_grad(true) : tensor;
    };
    return {as(x), as(weight), as(bias), options};
  }
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

using Function = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&, const LinearOptions&,
                                const char*);
struct Results {
  std::vector<std::pair<std::string, at::Tensor>> tensors;  // output and gradients
  std::vector<double> squares;                              // of the samples, if asked for
};

Results Evaluate(Function function, const Problem& given, c10::ScalarType dtype, bool record) {
  const Problem p = given.As(dtype);
  const tscore::Recorder::Ptr recorder = record ? tscore::Recorder::Open() : nullptr;
  const at::Tensor y = function(p.x, p.weight, p.bias, p.options, "test");
  if (record) recorder->Close();
  at::manual_seed(22);
  (y * at::randn(y.sizes(), c10::kDouble).to(dtype)).sum().backward();
  Results results = {{{"output", y.detach()}}, {}};
  for (const auto& [name, leaf] : p.Leaves())
    results.tensors.emplace_back(std::string("gradient of ") + name, leaf.grad());
  if (!record) return results;
  std::vector<tscore::NamedParameter> parameters = {{"weight", p.weight}};
  if (p.bias.defined()) parameters.push_back({"bias", p.bias});
  const auto score = recorder->Finish(parameters, /*verify=*/true);
  EXPECT_TRUE(score.ok()) << score.status();
  if (score.ok()) results.squares = score->sample_sq;
  return results;
}

void ExpectAgree(const Problem& p) {
  const Results expected = Evaluate(&StackedLinearReference, p, c10::kDouble, true);
  for (const bool record : {false, true}) {
    const Results got = Evaluate(&StackedLinear, p, c10::kFloat, record);
    ASSERT_EQ(got.tensors.size(), expected.tensors.size());
    for (size_t i = 0; i < got.tensors.size(); ++i) {
      const at::Tensor &a = got.tensors[i].second, &b = expected.tensors[i].second;
      ASSERT_EQ(a.sizes(), b.sizes()) << got.tensors[i].first;
      if (a.numel() == 0) continue;
      EXPECT_LE((a - b).abs().max().item<double>(), 1e-5 * std::max(1.0, b.abs().max().item<double>()))
          << got.tensors[i].first << " record=" << record;
    }
    for (size_t i = 0; record && i < expected.squares.size(); ++i)
      EXPECT_NEAR(got.squares[i], expected.squares[i], 1e-5 * expected.squares[i]) << "sample " << i;
  }
}

constexpr Activation kActivations[] = {Activation::kNone, Activation::kGelu, Activation::kRelu, Activation::kRelu2};

void RunGrid(const std::vector<int64_t>& nodes, const std::vector<int64_t>& samples, const std::vector<int64_t>& rows,
             const std::vector<int64_t>& ins, const std::vector<int64_t>& outs) {
  int draw = 0;
  for (const int64_t n : nodes) {
    for (const int64_t N : samples) {
      for (const int64_t K : rows) {
        for (const int64_t in : ins) {
          for (const int64_t out : outs) {
            const Sizes sizes = {n, N, K, in, out, draw % 2 == 0, draw % 3 != 0};
            const LinearOptions options = {kActivations[draw % 4], draw % 5 < 2 ? 0.3 : 0.0, 9};
            ++draw;
            SCOPED_TRACE(absl::StrFormat("n=%d N=%d K=%d in=%d out=%d shared=%d bias=%d activation=%d dropout=%g", n, N,
                                         K, in, out, sizes.shared, sizes.bias, static_cast<int>(options.activation),
                                         options.dropout));
            ExpectAgree(Make(sizes, options));
          }
        }
      }
    }
  }
}

TEST(StackedLinear, AgreesWithPlainOperators) { RunGrid({0, 1, 3}, {1, 3}, {1, 7, 33}, {1, 5, 16, 33}, {1, 15, 40}); }
TEST(StackedLinear, AgreesWithPlainOperatorsOnManyRowsAndColumns) {
  RunGrid({0, 2}, {2, 5}, {65, 300}, {129, 500}, {17, 400});
}
TEST(StackedLinear, AgreesWithPlainOperatorsOnEmptyInputs) { RunGrid({0, 2}, {0, 2}, {0}, {3}, {4}); }
TEST(StackedLinear, AgreesWithPlainOperatorsOnEveryInstructionSetOfThisCpu) {
  ForEveryInstructionSet([](const char* name) {
    SCOPED_TRACE(name);
    RunGrid({0, 2}, {2}, {5, 29}, {3, 20}, {4, 16, 33});
  });
}

TEST(StackedLinear, ResultsAreTheSameBitsForAnyNumberOfThreads) {
  for (const bool record : {false, true}) {
    const Problem p = Make({3, 7, 41, 37, 70, true, true}, {Activation::kGelu, 0.2, 3});
    std::vector<Results> all;
    for (const int threads : {1, 2, 3, 5}) {
      const ThreadScope scope(threads);
      all.push_back(Evaluate(&StackedLinear, p, c10::kFloat, record));
      for (size_t i = 0; i < all[0].tensors.size(); ++i)
        EXPECT_TRUE(at::equal(all[0].tensors[i].second, all.back().tensors[i].second))
            << threads << " " << all[0].tensors[i].first;
      EXPECT_EQ(all[0].squares, all.back().squares);
    }
  }
}

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

TEST(StackedLinear, ASecondBackwardThroughTheSameGraphGivesTheSame) {
  const Problem p = Make({2, 3, 5, 4, 6, true, true}, {Activation::kGelu});
  const at::Tensor loss = StackedLinear(p.x, p.weight, p.bias, p.options).square().sum();
  const auto first = torch::autograd::grad({loss}, {p.x, p.weight, p.bias}, {}, /*retain_graph=*/true);
  const auto second = torch::autograd::grad({loss}, {p.x, p.weight, p.bias});
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(at::equal(first[i], second[i])) << i;
}

TEST(StackedLinear, FrozenParametersGetNoGradient) {
  Problem p = Make({2, 3, 5, 4, 6, true, true}, {});
  p.weight.set_requires_grad(false);
  StackedLinear(p.x, p.weight, p.bias).sum().backward();
  EXPECT_FALSE(p.weight.grad().defined());
  EXPECT_TRUE(p.bias.grad().defined());
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
    try {
      run();
      ADD_FAILURE() << "expected: " << words;
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      EXPECT_EQ(text.rfind("[stacked_linear] ", 0), 0u) << text;
      EXPECT_NE(text.find(words), std::string::npos) << text;
    }
  };
  expect("input must be (N, ..., 4)", [] { StackedLinear(at::ones({2, 3}), at::ones({5, 4}), {}); });
  expect("input for 3 nodes must be", [] { StackedLinear(at::ones({2, 2, 2, 4}), at::ones({3, 5, 4}), {}); });
  expect("bias must be [5]", [] { StackedLinear(at::ones({2, 4}), at::ones({5, 4}), at::ones({4})); });
  expect("weight must be", [] { StackedLinear(at::ones({2, 4}), at::ones({4}), {}); });
  expect("a parameter Double", [] { StackedLinear(at::ones({2, 4}), at::ones({5, 4}, c10::kDouble), {}); });
}

}  // namespace
}  // namespace lanthorn::kernels
