// Linear sweeps from pairs of bfloat16 numbers against products of operands that LibTorch rounded, in float64, on every
// instruction set; and transformer blocks made of them.
#include "engine/kernels/linear/pairs.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <limits>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "engine/kernels/encoder/encoder_blocks.h"
#include "engine/kernels/gemm/panels.h"
#include "engine/kernels/linear/linear_pack.h"
#include "engine/kernels/linear/stacked_linear_kernel.h"
#include "engine/tscore/recorder.h"
#include "tests/engine/kernels/kernel_scopes.h"

namespace lanthorn::kernels {
namespace {

at::Tensor Rounded(const at::Tensor& x) { return x.to(c10::kBFloat16).to(c10::kDouble); }

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(c10::kDouble) - b.to(c10::kDouble)).abs().max().item<double>();
}

struct Sizes {
  int64_t N, K, in, out;
};
const std::vector<Sizes> kSizes = {{1, 1, 1, 1},      {2, 3, 5, 7},    {3, 33, 40, 35}, {2, 64, 64, 48},
                                   {1, 130, 801, 20}, {2, 5, 17, 900}, {1, 300, 9, 3}};

LinearLayout LayoutOf(const Sizes& s, Operands operands) {
  LinearLayout layout = {1, s.N, s.K, s.in, s.out, /*shared=*/true, {}};
  layout.options.operands = operands;
  return layout;
}

float* Data(const at::Tensor& tensor) { return tensor.data_ptr<float>(); }

// Calls body(sizes, operands, name) on every instruction set; natively where the CPU can.
template <class Body>
void ForEveryCase(const Body& body) {
  ForEveryInstructionSet([&](const char* name) {
    for (const Operands operands : {Operands::kPairs, Operands::kNativePairs}) {
      if (operands == Operands::kNativePairs && !HasNativePairs()) continue;
      for (const Sizes& sizes : kSizes) {
        at::manual_seed(3);
        SCOPED_TRACE(testing::Message() << name << " operands " << static_cast<int>(operands) << " N=" << sizes.N
                                        << " K=" << sizes.K << " in=" << sizes.in << " out=" << sizes.out);
        body(sizes, operands);
      }
    }
  });
}

TEST(Pairs, TheForwardIsTheProductOfRoundedOperands) {
  ForEveryCase([](const Sizes& s, Operands operands) {
    const at::Tensor x = at::randn({s.N * s.K, s.in}), weight = at::randn({s.out, s.in}), bias = at::randn({s.out});
    const at::Tensor packed = PackForward(PairsAlongIn(weight, s.out, s.in), 1, s.out, PlacesOf(operands, s.in));
    const at::Tensor padded = PadBias(bias, 1, s.out), y = at::full({s.N * s.K, s.out}, 7.0f);
    const LinearLayout layout = LayoutOf(s, operands);
    LinearForward(layout, {Data(x), Data(packed), Data(padded), Data(y), nullptr}, 0,
                  (layout.rows() + kForwardRows - 1) / kForwardRows);
    EXPECT_LE(Difference(y, at::mm(Rounded(x), Rounded(weight).t()) + bias), 2e-4);
  });
}

TEST(Pairs, TheInputGradientIsTheProductOfRoundedOperands) {
  ForEveryCase([](const Sizes& s, Operands operands) {
    const at::Tensor grad = at::randn({s.N * s.K, s.out}), weight = at::randn({s.out, s.in});
    const at::Tensor slope = at::randn(grad.sizes()), times = at::randn({s.N * s.K, s.in});
    const at::Tensor packed =
        PackBackwardEach(PairsAlongOut(weight, 1, s.out, s.in), 1, PlacesOf(operands, s.out), s.in);
    const at::Tensor grad_x = at::full({s.N * s.K, s.in}, 7.0f);
    const LinearLayout layout = LayoutOf(s, operands);
    LinearInputGradient(layout, {Data(grad), Data(slope), Data(packed), Data(grad_x), /*add=*/false, Data(times)}, 0,
                        (layout.rows() + kBackwardRows - 1) / kBackwardRows);
    const at::Tensor expected = at::mm(Rounded(grad * slope), Rounded(weight)) * times;
    EXPECT_LE(Difference(grad_x, expected), 1e-3);
  });
}

TEST(Pairs, TheWeightGradientIsTheProductOfRoundedOperandsWithItsSamplesSquares) {
  ForEveryCase([](const Sizes& s, Operands operands) {
    const at::Tensor x = at::randn({s.N, s.K, s.in}), grad = at::randn({s.N, s.K, s.out});
    const int64_t panels = Panels(s.out);
    for (const bool squares : {false, true}) {
      const at::Tensor weight = at::full({s.out, s.in}, 7.0f), bias = at::full({s.out}, 7.0f);
      const at::Tensor sums = at::zeros({2, panels, s.N}, c10::kDouble);
      LinearWeightMemory memory = {Data(x), Data(grad), nullptr, Data(weight), Data(bias), nullptr, nullptr, s.N};
      if (squares) {
        memory.weight_squares = sums.data_ptr<double>();
        memory.bias_squares = memory.weight_squares + panels * s.N;
      }
      LinearWeightGradient(LayoutOf(s, operands), memory, 0, panels);
      const at::Tensor samples = at::bmm(Rounded(grad).transpose(1, 2), Rounded(x));
      EXPECT_LE(Difference(weight, samples.sum(0)), 1e-3);
      EXPECT_LE(Difference(bias, grad.to(c10::kDouble).flatten(0, 1).sum(0)), 1e-4);
      if (!squares) continue;
      const at::Tensor expected = samples.flatten(1).square().sum(1);
      EXPECT_LE(Difference(sums[0].sum(0) / expected, at::ones({s.N})), 1e-5);
    }
  });
}

TEST(Pairs, NanAndInfinityComeThrough) {
  const Sizes s = {1, 2, 3, 2};
  at::Tensor x = at::ones({2, 3});
  const at::Tensor packed = PackForward(PairsAlongIn(at::ones({2, 3}), 2, 3), 1, 2, 2), y = at::zeros({2, 2});
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    x[0][1] = value;
    LinearForward(LayoutOf(s, Operands::kPairs), {Data(x), Data(packed), nullptr, Data(y), nullptr}, 0, 1);
    EXPECT_FALSE(y[0].isfinite().any().item<bool>());
    EXPECT_TRUE(y[1].isfinite().all().item<bool>());
  }
}

// A block, its output and gradients in some precision, and the squares of its samples.
struct BlockRun {
  at::Tensor y;
  std::vector<at::Tensor> gradients;
  std::vector<double> squares;
};

BlockRun RunBlock(const Precision& precision, bool gated = false, int64_t samples = 5) {
  at::manual_seed(8);
  const int64_t d = 24, ff = 40;
  const auto leaf = [](at::IntArrayRef sizes, double scale) {
    return (at::randn(sizes) * scale).set_requires_grad(true);
  };
  const at::Tensor x = leaf({samples, 9, d}, 1);
  const EncoderParameters p = {leaf({3 * d, d}, .2),
                               leaf({3 * d}, .1),
                               leaf({d, d}, .2),
                               leaf({d}, .1),
                               leaf({gated ? 2 * ff : ff, d}, .2),
                               leaf({gated ? 2 * ff : ff}, .1),
                               leaf({d, ff}, .2),
                               leaf({d}, .1),
                               leaf({d}, 1),
                               leaf({d}, .1),
                               leaf({d}, 1),
                               leaf({d}, .1)};
  const tscore::Recorder::Ptr recorder = tscore::Recorder::Open();
  at::Tensor y;
  {
    const PrecisionScope scope(precision);
    y = EncoderBlocks(x, {}, p, {.heads = 3, .norm_first = true, .gated = gated});
  }
  recorder->Close();
  y.square().sum().backward();  // outside of the scope: the backward has the forward's precision
  BlockRun run = {y.detach(), {x.grad()}, {}};
  std::vector<tscore::NamedParameter> named;
  for (const at::Tensor& one : p) {
    run.gradients.push_back(one.grad());
    named.push_back({"p", one});
  }
  const auto score = recorder->Finish(named, /*verify=*/true);
  EXPECT_TRUE(score.ok()) << score.status();
  if (score.ok()) run.squares = score->sample_sq;
  return run;
}

TEST(Pairs, ABlockStaysNearFp32AndItsSamplesAddUp) {
  for (const auto& [gated, samples] : {std::pair{false, 5}, {true, 5}, {false, 2}, {true, 2}}) {  // 2 go part by part
    const Precision bf16 = {Precision::kBf16, /*emulated=*/true};
    const BlockRun plain = RunBlock({}, gated, samples), low = RunBlock(bf16, gated, samples);
    const auto relative = [](const at::Tensor& a, const at::Tensor& b) {
      return Difference(a, b) / b.abs().max().item<double>();
    };
    EXPECT_LE(relative(low.y, plain.y), 0.02);
    EXPECT_GE(relative(low.y, plain.y), 1e-5);
    for (size_t i = 0; i < plain.gradients.size(); ++i)
      EXPECT_LE(relative(low.gradients[i], plain.gradients[i]), 0.04) << i;
    ASSERT_EQ(low.squares.size(), plain.squares.size());
    for (size_t i = 0; i < plain.squares.size(); ++i)
      EXPECT_NEAR(low.squares[i], plain.squares[i], 0.04 * plain.squares[i]) << i;
  }
}

TEST(Pairs, ABlockHasTheSameBitsOnAnyNumberOfThreads) {
  const Precision precision = {Precision::kBf16, /*emulated=*/true};
  const BlockRun one = [&] {
    const ThreadScope threads(1);
    return RunBlock(precision);
  }();
  const ThreadScope threads(3);
  const BlockRun three = RunBlock(precision);
  EXPECT_TRUE(at::equal(one.y, three.y));
  for (size_t i = 0; i < one.gradients.size(); ++i) EXPECT_TRUE(at::equal(one.gradients[i], three.gradients[i])) << i;
}

// fp32_split is not for blocks: nothing may change silently.
TEST(Pairs, OtherPrecisionsLeaveABlockAlone) {
  EXPECT_TRUE(at::equal(RunBlock({}).y, RunBlock({Precision::kFp32Split, /*emulated=*/true}).y));
}

TEST(Pairs, WhetherTheyPayIsMeasuredAndSaid) {
  const absl::Status status = CheckPairs();
  if (!HasNativePairs()) {
    EXPECT_TRUE(absl::StrContains(status.message(), "needs a CPU with AVX512_BF16")) << status;
    return;
  }
  EXPECT_GT(PairGain(), 0.1);
  if (!status.ok()) {
    EXPECT_TRUE(absl::StrContains(status.message(), "would not be faster")) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "train.emulate=true")) << status;
  }
}

}  // namespace
}  // namespace lanthorn::kernels
