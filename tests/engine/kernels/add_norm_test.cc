// The fused residual step of several nodes (float32) against plain operators in float64, with the same dropout.
#include "engine/kernels/encoder/add_norm.h"

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
  at::Tensor x, y, weight, bias;  // y and bias may be undefined
  NormOptions options;

  std::vector<std::pair<const char*, at::Tensor>> Leaves() const {
    std::vector<std::pair<const char*, at::Tensor>> leaves;
    for (const auto& [name, tensor] :
         std::vector<std::pair<const char*, at::Tensor>>{{"x", x}, {"y", y}, {"weight", weight}, {"bias", bias}}) {
      if (tensor.defined()) leaves.emplace_back(name, tensor);
    }
    return leaves;
  }
  Problem As(c10::ScalarType dtype) const {
    const auto as = [&](const at::Tensor& tensor) {
      return tensor.defined() ? tensor.detach().to(dtype).set_requires_grad(true) : tensor;
    };
    return {as(x), as(y), as(weight), as(bias), options};
  }
};

struct Sizes {
  int64_t n, N, K, d;  // n = 0: one node without a dimension of its own
  bool shared, with_y, bias;
};

Problem Make(const Sizes& s, const NormOptions& options) {
  at::manual_seed(31);
  const auto leaf = [](std::vector<int64_t> sizes) { return at::randn(sizes).set_requires_grad(true); };
  Problem p;
  p.options = options;
  p.x = s.shared || s.n == 0 ? leaf({s.N, s.K, s.d}) : leaf({s.n, s.N, s.K, s.d});
  if (s.with_y) p.y = s.n == 0 ? leaf({s.N, s.K, s.d}) : leaf({s.n, s.N, s.K, s.d});
  p.weight = s.n == 0 ? leaf({s.d}) : leaf({s.n, s.d});
  if (s.bias) p.bias = s.n == 0 ? leaf({s.d}) : leaf({s.n, s.d});
  return p;
}

enum class Used { kNormed, kBoth };  // outputs that the loss reads

using Function = AddNormOutput (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                   const NormOptions&, const char*);
struct Results {
  std::vector<std::pair<std::string, at::Tensor>> tensors;  // outputs and gradients
  std::vector<double> squares;                              // of the samples, if asked for
};

Results Evaluate(Function function, const Problem& given, c10::ScalarType dtype, Used used, bool record) {
  const Problem p = given.As(dtype);
  const tscore::Recorder::Ptr recorder = record ? tscore::Recorder::Open() : nullptr;
  const AddNormOutput output = function(p.x, p.y, p.weight, p.bias, p.options, "test");
  if (record) recorder->Close();
  at::manual_seed(32);
  const auto weighted = [&](const at::Tensor& t) { return (t * at::randn(t.sizes(), c10::kDouble).to(dtype)).sum(); };
  at::Tensor loss = weighted(output.normed);
  if (used == Used::kBoth) loss = loss + weighted(output.sum);
  loss.backward();
  Results results = {{{"normed", output.normed.detach()}, {"sum", output.sum.detach()}}, {}};
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

void ExpectAgree(const Problem& p, Used used) {
  const Results expected = Evaluate(&AddNormReference, p, c10::kDouble, used, true);
  for (const bool record : {false, true}) {
    const Results got = Evaluate(&AddNorm, p, c10::kFloat, used, record);
    ASSERT_EQ(got.tensors.size(), expected.tensors.size());
    for (size_t i = 0; i < got.tensors.size(); ++i) {
      const at::Tensor &a = got.tensors[i].second, &b = expected.tensors[i].second;
      ASSERT_EQ(a.sizes(), b.sizes()) << got.tensors[i].first;
      if (a.numel() == 0) continue;
      EXPECT_LE((a - b).abs().max().item<double>(), 2e-5 * std::max(1.0, b.abs().max().item<double>()))
          << got.tensors[i].first << " record=" << record;
    }
    for (size_t i = 0; record && i < expected.squares.size(); ++i)
      EXPECT_NEAR(got.squares[i], expected.squares[i], 2e-5 * expected.squares[i]) << "sample " << i;
  }
}

void RunGrid(const std::vector<int64_t>& nodes, const std::vector<int64_t>& samples, const std::vector<int64_t>& rows,
             const std::vector<int64_t>& widths) {
  int draw = 0;
  for (const int64_t n : nodes) {
    for (const int64_t N : samples) {
      for (const int64_t K : rows) {
        for (const int64_t d : widths) {
          for (const bool rms : {false, true}) {
            const Sizes sizes = {n, N, K, d, draw % 2 == 0, draw % 4 != 3, draw % 3 != 0};
            const NormOptions options = {rms, 1e-5, draw % 5 < 2 ? 0.3 : 0.0, 9};
            const Used used = draw % 7 < 3 ? Used::kBoth : Used::kNormed;
            ++draw;
            SCOPED_TRACE(absl::StrFormat("n=%d N=%d K=%d d=%d shared=%d with_y=%d bias=%d rms=%d dropout=%g", n, N, K,
                                         d, sizes.shared, sizes.with_y, sizes.bias, rms, options.dropout));
            ExpectAgree(Make(sizes, options), used);
          }
        }
      }
    }
  }
}

TEST(AddNorm, AgreesWithPlainOperators) { RunGrid({0, 1, 3}, {1, 3}, {1, 7, 65}, {3, 5, 16, 33, 130}); }
TEST(AddNorm, AgreesWithPlainOperatorsOnEmptyInputs) { RunGrid({0, 2}, {0, 2}, {0}, {3}); }
TEST(AddNorm, AgreesWithPlainOperatorsOnEveryInstructionSetOfThisCpu) {
  ForEveryInstructionSet([](const char* name) {
    SCOPED_TRACE(name);
    RunGrid({0, 2}, {2}, {5, 70}, {4, 16, 37});
  });
}

TEST(AddNorm, ResultsAreTheSameBitsForAnyNumberOfThreads) {
  for (const bool record : {false, true}) {
    const Problem p = Make({3, 7, 141, 37, true, true, true}, {false, 1e-5, 0.2, 3});
    std::vector<Results> all;
    for (const int threads : {1, 2, 3, 5}) {
      const ThreadScope scope(threads);
      all.push_back(Evaluate(&AddNorm, p, c10::kFloat, Used::kBoth, record));
      for (size_t i = 0; i < all[0].tensors.size(); ++i)
        EXPECT_TRUE(at::equal(all[0].tensors[i].second, all.back().tensors[i].second))
            << threads << " " << all[0].tensors[i].first;
      EXPECT_EQ(all[0].squares, all.back().squares);
    }
  }
}

TEST(AddNorm, ALossOfTheSumAloneHasNoGradientForTheNorm) {
  const Problem p = Make({0, 2, 3, 5, true, true, true}, {});
  AddNorm(p.x, p.y, p.weight, p.bias, p.options).sum.sum().backward();
  EXPECT_TRUE(at::equal(p.x.grad(), at::ones_like(p.x)));
  EXPECT_TRUE(at::equal(p.y.grad(), at::ones_like(p.y)));
  EXPECT_EQ(p.weight.grad().abs().max().item<double>(), 0);
}

TEST(AddNorm, ASecondBackwardThroughTheSameGraphGivesTheSame) {
  const Problem p = Make({2, 3, 5, 7, true, true, true}, {false, 1e-5, 0.2, 3});
  const at::Tensor loss = AddNorm(p.x, p.y, p.weight, p.bias, p.options).normed.pow(3).sum();
  const auto first = torch::autograd::grad({loss}, {p.x, p.y, p.weight, p.bias}, {}, /*retain_graph=*/true);
  const auto second = torch::autograd::grad({loss}, {p.x, p.y, p.weight, p.bias});
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(at::equal(first[i], second[i])) << i;
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
  const auto expect = [](const char* words, const std::function<void()>& run) {
    try {
      run();
      ADD_FAILURE() << "expected: " << words;
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      EXPECT_EQ(text.rfind("[add_norm] ", 0), 0u) << text;
      EXPECT_NE(text.find(words), std::string::npos) << text;
    }
  };
  expect("x must be (N, ..., 4)", [] { AddNorm(at::ones({2, 3}), {}, at::ones({4}), {}, {}); });
  expect("y must have the shape of x", [] { AddNorm(at::ones({2, 4}), at::ones({3, 4}), at::ones({4}), {}, {}); });
  expect("input for 3 nodes must be", [] {
    AddNorm(at::ones({2, 2, 4}), at::ones({2, 2, 4}), at::ones({3, 4}), {}, {});
  });
  expect("bias must be [4]", [] { AddNorm(at::ones({2, 4}), {}, at::ones({4}), at::ones({3}), {}); });
}

}  // namespace
}  // namespace lanthorn::kernels
