// Fused attention (float32) against plain operators in float64, with the same dropout.
#include "engine/kernels/attention/attention.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_format.h"
#include "engine/kernels/encoder/dropout.h"
#include "tests/engine/kernels/expect_error.h"
#include "tests/engine/kernels/operator_case.h"

namespace lanthorn::kernels {
namespace {

struct Problem {
  at::Tensor qkv, padding;  // (n, B, T, 3 d); padding may be undefined
  AttentionOptions options;
};

Problem Make(int64_t n, int64_t B, int64_t T, int64_t heads, int64_t width, bool causal, bool padded, double dropout) {
  at::manual_seed(3);
  Problem p = {at::randn({n, B, T, 3 * heads * width}).set_requires_grad(true), {}, {heads, causal, dropout, 77}};
  if (padded) p.padding = at::rand({B, T}).lt(0.3);
  return p;
}

// With a bias of relations, on (B, T, 3 d).
OperatorProblem DescribeRelated(int64_t B, int64_t T, int64_t heads, int64_t width, int64_t R, bool causal, bool padded,
                                double dropout) {
  Problem p = Make(1, B, T, heads, width, causal, padded, dropout);
  const at::Tensor relations = at::randint(R, {B, T}, c10::kLong) * at::rand({B, T}).lt(0.6);
  const at::Tensor qkv = p.qkv.detach()[0].set_requires_grad(true);
  const at::Tensor tables = at::randn({2, R}).set_requires_grad(true);
  const auto run = [p, relations](const auto& function) {
    return [p, relations, function](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
      return {function(leaves[0], p.padding, p.options, {relations, leaves[1]}, "attention")};
    };
  };
  return {absl::StrFormat("B=%d T=%d heads=%d width=%d R=%d causal=%d padded=%d dropout=%g", B, T, heads, width, R,
                          causal, padded, dropout),
          {{"qkv", qkv}, {"tables", tables, /*parameter=*/true}},
          run(&Attention),
          run(&AttentionReference)};
}

const RegisterOperatorCase related({
    .name = "attention_with_relations",
    .tolerance = 1e-5,
    .sample_tolerance = 1e-4,
    .all =
        [](const auto& visit) {
          int draw = 0;
          for (const int64_t B : {0, 1, 3}) {
            for (const int64_t T : {1, 7, 24, 65, 513}) {
              for (const int64_t R : {1, 2, 5, 13}) {
                visit(DescribeRelated(B, T, 1 + draw % 4, 5 + draw % 7, R, draw % 2 == 0, draw % 3 == 0,
                                      draw % 5 < 2 ? 0.3 : 0));
                ++draw;
              }
            }
          }
        },
    .few = [](const auto& visit) { visit(DescribeRelated(2, 33, 3, 17, 4, false, true, 0.2)); },
    .threads = [](const auto& visit) { visit(DescribeRelated(5, 33, 3, 7, 4, true, true, 0.2)); },
    .small = [] { return DescribeRelated(2, 9, 2, 5, 3, false, false, 0.1); },
    .tag = "attention",
});

using Function = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const AttentionOptions&, const RelationBias&,
                                const char*);
// Output and gradient.
std::pair<at::Tensor, at::Tensor> Results(Function function, const Problem& p, c10::ScalarType dtype) {
  const at::Tensor qkv = p.qkv.detach().to(dtype).set_requires_grad(true);
  const at::Tensor y = function(qkv, p.padding, p.options, {}, "attention");
  at::manual_seed(4);
  (y * at::randn(y.sizes(), c10::kDouble).to(dtype)).sum().backward();
  return {y.detach(), qkv.grad()};
}

OperatorProblem Describe(const Problem& p, const std::string& words) {
  const auto run = [p](const auto& function) {
    return [p, function](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
      return {function(leaves[0], p.padding, p.options, {}, "attention")};
    };
  };
  return {words, {{"qkv", p.qkv}}, run(&Attention), run(&AttentionReference)};
}

void RunGrid(const OperatorCase::Visit& visit, const std::vector<int64_t>& nodes, const std::vector<int64_t>& batches,
             const std::vector<int64_t>& steps, const std::vector<int64_t>& heads, const std::vector<int64_t>& widths) {
  int draw = 0;
  for (const int64_t n : nodes) {
    for (const int64_t B : batches) {
      for (const int64_t T : steps) {
        for (const int64_t h : heads) {
          for (const int64_t width : widths) {
            const bool causal = draw % 2 == 0, padded = draw % 3 == 0;
            const double dropout = draw % 5 < 2 ? 0.3 : 0;
            ++draw;
            visit(Describe(Make(n, B, T, h, width, causal, padded, dropout),
                           absl::StrFormat("n=%d B=%d T=%d heads=%d width=%d causal=%d padded=%d dropout=%g", n, B, T,
                                           h, width, causal, padded, dropout)));
          }
        }
      }
    }
  }
}

const RegisterOperatorCase attention({
    .name = "attention",
    .tolerance = 1e-5,
    .all =
        [](const auto& visit) {
          RunGrid(visit, {1, 3}, {0, 1, 3}, {1, 7, 24, 65}, {1, 2, 3, 4}, {1, 5, 16, 33});
          RunGrid(visit, {1}, {2}, {300, 513}, {2}, {8, 64});
        },
    .few =
        [](const auto& visit) {
          RunGrid(visit, {2}, {2}, {3, 33}, {1, 3}, {4, 17, 32});
        },
    .threads = [](const auto& visit) { visit(Describe(Make(2, 5, 33, 3, 7, true, true, 0.2), "")); },
    .small = [] { return Describe(Make(1, 2, 9, 2, 5, true, false, 0.1), ""); },
});

TEST(Attention, OneNodeNeedsNoDimensionAndStridesDoNotMatter) {
  const Problem p = Make(1, 3, 9, 2, 5, true, false, 0);
  const at::Tensor y = Attention(p.qkv, {}, p.options);
  EXPECT_TRUE(at::equal(y[0], Attention(p.qkv[0], {}, p.options)));
  EXPECT_TRUE(at::equal(y, Attention(p.qkv.transpose(1, 2).contiguous().transpose(1, 2), {}, p.options)));
}

TEST(Attention, NanAndInfinityReachWhatSeesThem) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const Problem p = Make(1, 2, 30, 2, 4, true, false, 0);
    at::NoGradGuard no_grad;
    p.qkv[0][1][11].fill_(bad);
    const at::Tensor y = Attention(p.qkv, {}, p.options);
    EXPECT_FALSE(at::isfinite(y[0][1].narrow(0, 11, 19)).any().item<bool>()) << bad;
    EXPECT_TRUE(at::isfinite(y[0][0]).all().item<bool>()) << bad;  // other samples stay clean
  }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  Problem p = Make(1, 2, 9, 2, 4, true, false, 0);
  p.qkv = (p.qkv.detach() * 40).set_requires_grad(true);
  const auto got = Results(&Attention, p, c10::kFloat), expected = Results(&AttentionReference, p, c10::kDouble);
  EXPECT_LE((got.first - expected.first).abs().max().item<double>(), 2e-2);  // scores near 10,000 in float
  EXPECT_TRUE(at::isfinite(got.second).all().item<bool>());
}

TEST(Attention, TablesOfZerosAreNoBiasBitForBitAndLearnFromTheFirstBackward) {
  const Problem p = Make(1, 3, 40, 2, 8, false, true, 0.1);
  const at::Tensor relations = at::randint(4, {3, 40}, c10::kLong), tables = at::zeros({2, 4}).set_requires_grad(true);
  const at::Tensor y = Attention(p.qkv[0], p.padding, p.options, {relations, tables});
  EXPECT_TRUE(at::equal(y, Attention(p.qkv[0], p.padding, p.options)));
  (y * at::randn(y.sizes())).sum().backward();
  EXPECT_TRUE(tables.grad().narrow(1, 1, 3).ne(0).all().item<bool>()) << tables.grad();
  EXPECT_TRUE(tables.grad().select(1, 0).eq(0).all().item<bool>());
}

TEST(Attention, TheBiasIsTheSameBothWaysAndNoneBetweenTwoRelations) {
  const at::Tensor relations = at::tensor({0, 1, 2, 1, 0}, c10::kLong).unsqueeze(0);
  const at::Tensor tables = at::tensor({9.0, 1.0, 2.0, 9.0, 10.0, 20.0}).view({2, 3});
  const at::Tensor scores = RelationScores(relations, tables.unsqueeze(0))[0];
  const at::Tensor expected = at::tensor({0,  10, 20, 10, 0,   //
                                          10, 1,  0,  1,  10,  //
                                          20, 0,  2,  0,  20,  //
                                          10, 1,  0,  1,  10,  //
                                          0,  10, 20, 10, 0})
                                  .view({5, 5});
  EXPECT_TRUE(at::equal(scores, expected.to(scores.scalar_type()))) << scores;
  EXPECT_TRUE(at::equal(scores, scores.t()));
}

TEST(Attention, WrongShapesAreNamedWithTheTag) {
  const auto expect = [](const char* words, const std::function<void()>& run) { ExpectError("attention", words, run); };
  expect("must be (B, T, 3 d)", [] { Attention(at::ones({4, 12}), {}, {2}); });
  expect("a multiple of 5 heads", [] { Attention(at::ones({2, 4, 12}), {}, {5}); });
  expect("dropout must be", [] { Attention(at::ones({2, 4, 12}), {}, {2, false, 1.5}); });
  expect("padding must be a bool (2, 4)", [] { Attention(at::ones({2, 4, 12}), at::ones({2, 4}), {2}); });
  const auto related = [](const at::Tensor& relations, const at::Tensor& tables) {
    Attention(at::ones({2, 4, 12}), {}, {2}, {relations, tables});
  };
  expect("tables of relations must be (2, R)", [&] { related(at::zeros({2, 4}, c10::kLong), at::ones({3})); });
  expect("relations must be int64 (2, 4)", [&] { related(at::zeros({2, 3}, c10::kLong), at::ones({2, 3})); });
  expect("relations must be int64 (2, 4)", [&] { related({}, at::ones({2, 3})); });
  expect("relation 3 is outside of the tables, which have 3", [&] {
    related(at::full({2, 4}, 3, c10::kLong), at::ones({2, 3}));
  });
  expect("with a bias qkv must be (B, T, 3 d)", [] {
    Attention(at::ones({1, 2, 4, 12}), {}, {2}, {at::zeros({2, 4}, c10::kLong), at::ones({2, 3})});
  });
}

TEST(Dropout, HasItsProbabilityAndIsUncorrelated) {
  const at::Tensor mask = DropoutMask(1000, 1000, 0.3, 5, c10::kDouble), dropped = mask.eq(0).to(c10::kDouble);
  EXPECT_NEAR(dropped.mean().item<double>(), 0.3, 0.003);
  EXPECT_NEAR(mask.mean().item<double>(), 1, 0.005);
  EXPECT_NEAR(dropped.mean(0).std().item<double>(), 0.0145, 0.002);  // of independent rows and columns
  EXPECT_NEAR(dropped.mean(1).std().item<double>(), 0.0145, 0.002);
  const auto together = [&](const at::Tensor& a, const at::Tensor& b) { return (a * b).mean().item<double>(); };
  EXPECT_NEAR(together(dropped.narrow(0, 0, 999), dropped.narrow(0, 1, 999)), 0.09, 0.002);
  EXPECT_NEAR(together(dropped.narrow(1, 0, 999), dropped.narrow(1, 1, 999)), 0.09, 0.002);
  const at::Tensor other = DropoutMask(1000, 1000, 0.3, 6, c10::kDouble).eq(0).to(c10::kDouble);
  EXPECT_NEAR(together(dropped, other), 0.09, 0.002);
}

}  // namespace
}  // namespace lanthorn::kernels
