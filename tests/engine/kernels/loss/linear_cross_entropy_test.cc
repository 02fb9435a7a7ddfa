// The fused last layer and loss against the same from plain operators in float64: loss, gradients, the samples' norms.
#include "engine/kernels/loss/linear_cross_entropy.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "engine/base/memory/memory.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/samplers.h"
#include "tests/engine/kernels/operator_case.h"

namespace lanthorn::kernels {
namespace {

struct Problem {
  at::Tensor x, weight, bias, target;

  // Leaves of this dtype with the same values.
  Problem As(c10::ScalarType dtype) const {
    const auto leaf = [dtype](const at::Tensor& t) {
      return t.defined() ? t.detach().to(dtype, /*non_blocking=*/false, /*copy=*/true).set_requires_grad(true) : t;
    };
    return {leaf(x), leaf(weight), leaf(bias), target};
  }
  std::vector<std::pair<const char*, at::Tensor>> Gradients() const {
    std::vector<std::pair<const char*, at::Tensor>> found = {{"x", x.grad()}, {"weight", weight.grad()}};
    if (bias.defined()) found.emplace_back("bias", bias.grad());
    return found;
  }
  std::vector<tscore::NamedParameter> Parameters() const {
    std::vector<tscore::NamedParameter> found = {{"weight", weight}};
    if (bias.defined()) found.push_back({"bias", bias});
    return found;
  }
};

// shape (N, ...) of the targets; a share of them is ignored.
Problem Make(const std::vector<int64_t>& shape, int64_t C, int64_t V, bool bias, double ignored) {
  at::manual_seed(7 * C + V);
  std::vector<int64_t> wide = shape;
  wide.push_back(C);
  const at::Tensor target = at::randint(V, shape, c10::kLong);
  const at::Tensor away = at::rand(shape).lt(ignored);
  return {at::randn(wide), at::randn({V, C}), bias ? at::randn({V}) : at::Tensor(),
          at::where(away, at::full_like(target, kIgnoredTarget), target)};
}

void ExpectNear(const at::Tensor& got, const at::Tensor& expected, double tolerance, const std::string& what) {
  ASSERT_EQ(got.sizes(), expected.sizes()) << what;
  if (expected.numel() == 0) return;
  const at::Tensor wide = got.to(c10::kDouble);
  const double largest = expected.abs().max().item<double>();
  EXPECT_LE((wide - expected).abs().max().item<double>(), tolerance * largest + 1e-30) << what;
}

struct Shape {
  std::vector<int64_t> rows;
  int64_t C, V;
};
std::vector<Shape> Shapes() {
  return {{{4, 7}, 5, 65},   {{3}, 4, 2},     {{1, 1}, 1, 2},     {{6, 300}, 3, 3}, {{5, 2, 3}, 9, 17},
          {{2, 40}, 16, 33}, {{33, 5}, 8, 9}, {{700}, 6, 31},     {{2, 600}, 7, 2}, {{3, 4}, 24, 50000},
          {{0, 4}, 3, 5},    {{4, 0}, 3, 5},  {{17, 20}, 12, 64}, {{1, 257}, 2, 11}};
}

// Sums of V and of the rows in float; the loss is a mean, so its own error is that of a row.
constexpr double kTolerance = 2e-5;

// The samples' norms, which need their number, and all shapes are compared below.
OperatorProblem Describe(const Problem& p, const std::string& words) {
  const at::Tensor target = p.target;
  const bool bias = p.bias.defined();
  const auto fused = [target, bias](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
    return {LinearCrossEntropy(leaves[0], leaves[1], bias ? leaves[2] : at::Tensor(), target)};
  };
  const auto plain = [target, bias](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
    return {LinearCrossEntropyReference(leaves[0], leaves[1], bias ? leaves[2] : at::Tensor(), target)};
  };
  OperatorProblem problem = {words, {{"x", p.x}, {"weight", p.weight}}, fused, plain};
  if (bias) problem.leaves.push_back({"bias", p.bias});
  return problem;
}

const RegisterOperatorCase linear_cross_entropy({
    .name = "linear_cross_entropy",
    .tolerance = kTolerance,
    .all =
        [](const auto& visit) {
          for (const bool bias : {true, false}) visit(Describe(Make({17, 20}, 12, 64, bias, 0.1), "all"));
        },
    .few =
        [](const auto& visit) {
          visit(Describe(Make({5, 9}, 17, 33, true, 0.2), "few"));
        },
    .threads =
        [](const auto& visit) {
          visit(Describe(Make({37, 11}, 24, 65, true, 0.1), "threads"));
        },
    .small =
        [] {
          return Describe(Make({4, 3}, 5, 6, true, 0), "small");
        },
});

TEST(LinearCrossEntropy, EqualsPlainOperatorsInDouble) {
  for (const Shape& shape : Shapes()) {
    for (const bool bias : {true, false}) {
      for (const double ignored : {0.0, 0.4, 0.85}) {
        SCOPED_TRACE(absl::StrFormat("%s C %d V %d bias %d ignored %.1f", c10::str(at::IntArrayRef(shape.rows)).c_str(),
                                     shape.C, shape.V, bias, ignored));
        const Problem made = Make(shape.rows, shape.C, shape.V, bias, ignored);
        const Problem fused = made.As(c10::kFloat), plain = made.As(c10::kDouble);
        const at::Tensor loss = LinearCrossEntropy(fused.x, fused.weight, fused.bias, fused.target);
        const at::Tensor expected = LinearCrossEntropyReference(plain.x, plain.weight, plain.bias, plain.target);
        if (made.target.ne(kIgnoredTarget).sum().item<int64_t>() == 0) {
          EXPECT_TRUE(std::isnan(loss.item<double>()));
          EXPECT_TRUE(std::isnan(expected.item<double>()));
        } else {
          ExpectNear(loss, expected, 1e-6, "loss");
        }
        loss.backward();
        expected.backward();
        const auto got = fused.Gradients(), wanted = plain.Gradients();
        for (size_t i = 0; i < got.size(); ++i) ExpectNear(got[i].second, wanted[i].second, kTolerance, got[i].first);
        const at::NoGradGuard no_grad;
        const double value = LinearCrossEntropy(fused.x, fused.weight, fused.bias, fused.target).item<double>();
        EXPECT_TRUE(std::isnan(value) || value == loss.item<double>());
      }
    }
  }
}

// The norm of each sample's share of the mean loss, by one backward for each sample.
std::vector<double> SharesOf(const Problem& p) {
  const double all = p.target.ne(kIgnoredTarget).sum().item<double>();
  std::vector<double> squares;
  for (int64_t i = 0; i < p.x.size(0); ++i) {
    const Problem one = p.As(c10::kDouble);
    const at::Tensor logits = at::linear(one.x.narrow(0, i, 1), one.weight, one.bias).reshape({-1, p.weight.size(0)});
    (at::cross_entropy_loss(logits, one.target.narrow(0, i, 1).reshape({-1}), {}, /*sum=*/2) / all).backward();
    double square = one.weight.grad().square().sum().item<double>();
    if (one.bias.defined()) square += one.bias.grad().square().sum().item<double>();
    squares.push_back(square);
  }
  return squares;
}

TEST(LinearCrossEntropy, ReportsTheNormsOfTheSamples) {
  for (const Shape& shape : Shapes()) {
    for (const bool bias : {true, false}) {
      for (const double factor : {1.0, 0.25}) {
        SCOPED_TRACE(absl::StrFormat("%s C %d V %d bias %d factor %.2f", c10::str(at::IntArrayRef(shape.rows)).c_str(),
                                     shape.C, shape.V, bias, factor));
        const Problem made = Make(shape.rows, shape.C, shape.V, bias, 0.3), fused = made.As(c10::kFloat);
        if (made.target.ne(kIgnoredTarget).sum().item<int64_t>() == 0) continue;
        const tscore::Recorder::Ptr recorder = tscore::Recorder::Open(shape.rows[0]);
        const at::Tensor loss = LinearCrossEntropy(fused.x, fused.weight, fused.bias, fused.target) * factor;
        recorder->Close();
        loss.backward();
        const auto score = recorder->Finish(fused.Parameters(), /*verify=*/true);
        ASSERT_TRUE(score.ok()) << score.status();
        const std::vector<double> expected = SharesOf(made);
        const double largest = *std::max_element(expected.begin(), expected.end());
        ASSERT_EQ(score->sample_sq.size(), expected.size());
        for (size_t i = 0; i < expected.size(); ++i) {
          EXPECT_NEAR(score->sample_sq[i], factor * factor * expected[i], 1e-4 * (expected[i] + 1e-3 * largest)) << i;
        }
        const Problem plain = made.As(c10::kDouble);
        (LinearCrossEntropyReference(plain.x, plain.weight, plain.bias, plain.target) * factor).backward();
        const auto got = fused.Gradients(), wanted = plain.Gradients();
        for (size_t i = 0; i < got.size(); ++i) ExpectNear(got[i].second, wanted[i].second, kTolerance, got[i].first);
      }
    }
  }
}

TEST(LinearCrossEntropy, ATiedWeightIsSummedBeforeItIsSquared) {
  const Problem made = Make({5, 3}, 6, 9, /*bias=*/true, 0.2);
  const at::Tensor ids = at::randint(9, {5, 3}, c10::kLong);
  const auto run = [&](c10::ScalarType dtype) {
    const Problem p = made.As(dtype);
    const tscore::Recorder::Ptr recorder = tscore::Recorder::Open(5);
    const at::Tensor features = at::embedding(p.weight, ids);
    tscore::SampleEmbedding(features, ids, p.weight, -1, "Embedding");
    const at::Tensor loss = LinearCrossEntropy(features, p.weight, p.bias, p.target);
    recorder->Close();
    loss.backward();
    return *recorder->Finish(p.Parameters(), /*verify=*/true);
  };
  const tscore::Score fused = run(c10::kFloat), plain = run(c10::kDouble);  // double: the reference with its samplers
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(fused.sample_sq[i], plain.sample_sq[i], 1e-4 * plain.sample_sq[i]);
}

TEST(LinearCrossEntropy, HasTheSameBitsOnAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  for (const auto& rows : std::vector<std::vector<int64_t>>{{37, 11}, {64, 100}, {2, 600}}) {
    for (const bool record : {false, true}) {
      std::vector<at::Tensor> first;
      for (int threads = 1; threads <= 5; ++threads) {
        at::set_num_threads(threads);
        const Problem p = Make(rows, 24, 65, true, 0.1).As(c10::kFloat);
        const tscore::Recorder::Ptr recorder = record ? tscore::Recorder::Open(rows[0]) : nullptr;
        const at::Tensor loss = LinearCrossEntropy(p.x, p.weight, p.bias, p.target);
        loss.backward();
        std::vector<at::Tensor> all = {loss.detach(), p.x.grad(), p.weight.grad(), p.bias.grad()};
        if (record) all.push_back(at::tensor(recorder->Finish(p.Parameters())->sample_sq, c10::kDouble));
        if (threads == 1) first = all;
        for (size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(at::equal(all[i], first[i])) << i << ", " << threads;
      }
    }
  }
  at::set_num_threads(before);
}

TEST(LinearCrossEntropy, NanAndInfinityReachTheLoss) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const int64_t V : {2, 7, 16, 65}) {
      for (int64_t at = 0; at < V; at += 5) {
        const Problem p = Make({3, 2}, 4, V, /*bias=*/true, 0).As(c10::kFloat);
        p.bias.detach()[at] = bad;
        EXPECT_TRUE(std::isnan(LinearCrossEntropy(p.x, p.weight, p.bias, p.target).item<double>()))
            << at << " of " << V;
      }
    }
  }
  const Problem p = Make({3, 2}, 4, 5, true, 0).As(c10::kFloat);
  p.x.detach()[1][0][2] = NAN;
  const at::Tensor loss = LinearCrossEntropy(p.x, p.weight, p.bias, p.target);
  EXPECT_TRUE(std::isnan(loss.item<double>()));
  loss.backward();
  EXPECT_TRUE(p.weight.grad().isnan().any().item<bool>());
}

TEST(LinearCrossEntropy, LargeAndExcludedLogitsAreExact) {
  const at::Tensor x = at::ones({2, 1}), target = at::tensor({0, 1}, c10::kLong);
  const at::Tensor weight = at::tensor({1000.0f, 900.0f, -std::numeric_limits<float>::infinity()}).view({3, 1});
  EXPECT_NEAR(LinearCrossEntropy(x, weight, {}, target).item<double>(), 50, 1e-5);  // (0 + 100) / 2
}

TEST(LinearCrossEntropy, FrozenInputsGetNoGradient) {
  Problem p = Make({4, 3}, 5, 6, true, 0).As(c10::kFloat);
  p.weight.set_requires_grad(false);
  const tscore::Recorder::Ptr recorder = tscore::Recorder::Open(4);
  LinearCrossEntropy(p.x, p.weight, p.bias, p.target).backward();
  EXPECT_FALSE(p.weight.grad().defined());
  EXPECT_TRUE(p.x.grad().defined() && p.bias.grad().defined());
  EXPECT_TRUE(recorder->Finish(p.Parameters(), true).ok());
  p.x.set_requires_grad(false);
  p.bias.set_requires_grad(false);
  EXPECT_FALSE(LinearCrossEntropy(p.x, p.weight, p.bias, p.target).requires_grad());
}

TEST(LinearCrossEntropy, TakesStridedInputs) {
  const Problem made = Make({4, 3}, 5, 6, true, 0);
  const at::Tensor x = at::stack({made.x, made.x}, -1).select(-1, 1), weight = made.weight.t().contiguous().t();
  ASSERT_FALSE(x.is_contiguous() || weight.is_contiguous());
  const at::Tensor target = made.target.t().contiguous().t();
  EXPECT_EQ(LinearCrossEntropy(x, weight, made.bias, target).item<float>(),
            LinearCrossEntropy(made.x, made.weight, made.bias, made.target).item<float>());
}

template <typename Call>
void ExpectError(const Call& call, const std::vector<std::string>& words) {
  try {
    call();
    FAIL() << "no error";
  } catch (const c10::Error& error) {
    for (const std::string& word : words)
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(LinearCrossEntropy, BadInputIsNamed) {
  const Problem p = Make({4, 3}, 5, 6, true, 0);
  const auto with_target = [&](const at::Tensor& target) { LinearCrossEntropy(p.x, p.weight, p.bias, target); };
  for (const int64_t bad : {6, -1, -99}) {
    for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {
      const at::Tensor target = p.target.clone();
      target[2][1] = bad;
      ExpectError([&] { LinearCrossEntropy(p.x.to(dtype), p.weight.to(dtype), p.bias.to(dtype), target); },
                  {"target " + std::to_string(bad) + " at [2, 1] is out of range", "V = 6"});
    }
  }
  ExpectError([&] { with_target(p.target.view({-1})); }, {"target must have", "[4, 3]", "[12]"});
  ExpectError([&] { with_target(p.target.to(c10::kInt)); }, {"target must be int64"});
  ExpectError([&] { LinearCrossEntropy(p.x, at::randn({6, 4}), p.bias, p.target); }, {"(N, ..., 4)", "[4, 3, 5]"});
  ExpectError([&] { LinearCrossEntropy(p.x, at::randn({0, 5}), {}, p.target); }, {"V > 0"});
  ExpectError([&] { LinearCrossEntropy(p.x, p.weight, at::randn({5}), p.target); }, {"bias must be (6)"});
  ExpectError([&] { LinearCrossEntropy(p.x.to(c10::kDouble), p.weight, p.bias, p.target); }, {"must agree"});
}

// With a factor of 1 the backward gives the gradients as the forward made them.
TEST(LinearCrossEntropy, ASecondBackwardThroughTheSameGraphAddsTheSame) {
  const Problem p = Make({4, 3}, 5, 6, true, 0).As(c10::kFloat);
  const at::Tensor loss = LinearCrossEntropy(p.x, p.weight, p.bias, p.target);
  loss.backward({}, /*retain_graph=*/true);
  const at::Tensor once = p.weight.grad().clone();
  loss.backward();
  EXPECT_TRUE(at::equal(p.weight.grad(), 2 * once));
}

TEST(LinearCrossEntropy, KeepsNoLogitsAndOneGradientOfALargeWeight) {
  memory::Install();
  const Problem p = Make({4, 3}, 64, 20000, /*bias=*/false, 0).As(c10::kFloat);
  const int64_t weight = p.weight.numel() * 4, before = memory::TensorBytes();
  memory::MarkTensorPeak();
  LinearCrossEntropy(p.x, p.weight, p.bias, p.target).backward();
  EXPECT_TRUE(p.weight.grad().defined());
  const int64_t grown = memory::TensorPeakSinceMark() - before;
  EXPECT_GE(grown, weight);
  EXPECT_LT(grown, weight + weight / 10);
}

}  // namespace
}  // namespace lanthorn::kernels
