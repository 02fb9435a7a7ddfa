// Products from bfloat16 operands. What oneDNN does with bf16 can run only on a CPU that has it; its primitive is
// tested with fp32 operands everywhere, and the rounding by emulation.
#include "engine/kernels/gemm/precision.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "engine/kernels/gemm/low_product.h"
#include "engine/kernels/gemm/matmul_primitive.h"
#include "engine/kernels/recurrent/recurrent.h"
#include "tests/engine/nn/make_layers.h"
#include "tests/engine/tscore/sample_loop.h"

namespace lanthorn::kernels {
namespace {

constexpr Precision kEmulatedBf16 = {Precision::kBf16, true}, kEmulatedSplit = {Precision::kFp32Split, true};

at::Tensor Product(const Precision& precision, const at::Tensor& a, const at::Tensor& b, bool transpose_b = false) {
  const int64_t n = transpose_b ? b.size(0) : b.size(1);
  const LowProduct product(precision, transpose_b, n, a.size(1), b.data_ptr<float>(), b.size(1));
  const at::Tensor c = at::full({a.size(0), n}, 7.0f);
  product.Run(a.size(0), a.data_ptr<float>(), a.stride(0), a.stride(1), c.data_ptr<float>(), n);
  return c;
}

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(c10::kDouble) - b.to(c10::kDouble)).abs().max().item<double>();
}

at::Tensor Bf16(const at::Tensor& x) { return x.to(c10::kBFloat16).to(c10::kDouble); }

TEST(LowProduct, Bf16IsTheProductOfLibTorchsRoundedOperands) {
  at::manual_seed(1);
  for (const auto& [m, k, n] :
       std::vector<std::tuple<int64_t, int64_t, int64_t>>{{1, 1, 1}, {3, 17, 5}, {32, 256, 96}}) {
    const at::Tensor a = at::randn({m, k}), b = at::randn({k, n});
    const at::Tensor expected = at::mm(Bf16(a), Bf16(b));
    EXPECT_LE(Difference(Product(kEmulatedBf16, a, b), expected), 1e-4);
    EXPECT_LE(Difference(Product(kEmulatedBf16, a, b.t().contiguous(), /*transpose_b=*/true), expected), 1e-4);
    EXPECT_LE(Difference(Product(kEmulatedBf16, a.t().contiguous().t(), b), expected), 1e-4);
    EXPECT_GT(Difference(expected, at::mm(a.to(c10::kDouble), b.to(c10::kDouble))), 1e-6);
  }
}

TEST(LowProduct, ASplitProductKeepsSixteenBits) {
  at::manual_seed(2);
  const at::Tensor a = at::randn({20, 300}), b = at::randn({300, 40});
  const at::Tensor exact = at::mm(a.to(c10::kDouble), b.to(c10::kDouble));
  const double scale = std::sqrt(300.0);  // of an element of the product
  const double split = Difference(Product(kEmulatedSplit, a, b), exact) / scale;
  const double rounded = Difference(Product(kEmulatedBf16, a, b), exact) / scale;
  EXPECT_LE(split, std::pow(2.0, -15));
  EXPECT_GE(rounded, std::pow(2.0, -11));  // so that the test tells the two apart
}

TEST(LowProduct, NanAndInfinityComeThrough) {
  for (const Precision& precision : {kEmulatedBf16, kEmulatedSplit}) {
    at::Tensor a = at::ones({2, 3});
    const at::Tensor b = at::ones({3, 2});
    a[0][1] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(Product(precision, a, b)[0].isnan().all().item<bool>());
    EXPECT_FALSE(Product(precision, a, b)[1].isnan().any().item<bool>());
    a[0][1] = std::numeric_limits<float>::infinity();
    EXPECT_FALSE(Product(precision, a, b)[0].isfinite().any().item<bool>());
  }
}

TEST(LowProduct, OneDnnsPrimitiveMultipliesAnySizeFromAnyThread) {
  at::manual_seed(3);
  for (const auto& [m, k, n, ldc] : std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>>{
           {1, 1, 1, 1}, {5, 33, 7, 7}, {32, 256, 768, 800}, {65, 100, 66, 70}}) {
    const at::Tensor a = at::randn({m, k}), b = at::randn({k, n}), expected = at::mm(a, b);
    const MatmulPrimitive product(MatmulPrimitive::Type::f32, m, n, k, b.data_ptr<float>(), ldc);
    std::vector<at::Tensor> results;
    for (int i = 0; i < 8; ++i) results.push_back(at::zeros({m, ldc}));
    at::parallel_for(0, 8, 1, [&, run = a.data_ptr<float>()](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) product.Run(run, results[i].data_ptr<float>());
    });
    for (const at::Tensor& c : results) {
      EXPECT_LE(Difference(c.narrow(1, 0, n), expected), 1e-4);
      if (ldc > n) {
        EXPECT_EQ(c.narrow(1, n, ldc - n).abs().max().item<float>(), 0.0f);
      }
    }
  }
}

TEST(LowProduct, OneDnnsBf16IsTheEmulatedOne) {
  if (!CheckPrecision({Precision::kBf16, false}).ok()) {
    GTEST_SKIP()
        << "this CPU has no bf16 products that could differ from the emulated ones; the tests above hold those "
           "against LibTorch's rounding on any CPU";
  }
  at::manual_seed(4);
  const at::Tensor a = at::randn({33, 250}), b = at::randn({250, 65});
  for (const Precision::Kind kind : {Precision::kBf16, Precision::kFp32Split})
    EXPECT_LE(Difference(Product({kind, false}, a, b), Product({kind, true}, a, b)), 1e-4);
}

TEST(PrecisionChoice, NamesAndMessages) {
  EXPECT_EQ(*ParsePrecision("fp32_split"), Precision::kFp32Split);
  EXPECT_TRUE(absl::StrContains(ParsePrecision("fp16").status().message(), "not known; use fp32, fp32_split or bf16"));
  EXPECT_TRUE(CheckPrecision({}).ok());
  EXPECT_TRUE(CheckPrecision(kEmulatedBf16).ok());
  EXPECT_FALSE(CheckPrecision({Precision::kFp32, true}).ok());
  const absl::Status native = CheckPrecision({Precision::kBf16, false});
  EXPECT_EQ(native.ok(), MatmulPrimitive::Supported(MatmulPrimitive::Type::bf16));
  if (!native.ok()) {
    EXPECT_TRUE(absl::StrContains(native.message(), "precision 'bf16' needs bf16 products")) << native;
    EXPECT_TRUE(absl::StrContains(native.message(), "train.emulate=true")) << native;
  }
}

struct LayerRun {
  at::Tensor output;
  std::vector<at::Tensor> gradients;
};

LayerRun RunLayer(Cell cell, const Precision& precision) {
  at::manual_seed(5);
  const auto leaf = [](at::IntArrayRef sizes) { return (at::randn(sizes) * 0.2).set_requires_grad(true); };
  const int64_t rows = GateCount(cell) * 33;
  const at::Tensor input = leaf({9, 12, 20});
  const RecurrentWeights weights = {leaf({rows, 20}), leaf({rows, 33}), leaf({rows}), leaf({rows})};
  at::Tensor output;
  {
    const PrecisionScope scope(precision);
    output = Recurrent(cell, input, {}, {}, weights).output;
  }
  output.square().sum().backward();  // outside of the scope: the backward has the forward's precision
  return {output.detach(),
          {input.grad(), weights.w_ih.grad(), weights.w_hh.grad(), weights.b_ih.grad(), weights.b_hh.grad()}};
}

TEST(RecurrentPrecision, LowerPrecisionStaysNearAndIsUsed) {
  for (const Cell cell : {Cell::kGru, Cell::kLstm}) {
    const LayerRun exact = RunLayer(cell, {});
    for (const auto& [precision, tolerance] :
         std::vector<std::pair<Precision, double>>{{kEmulatedBf16, 2e-2}, {kEmulatedSplit, 2e-4}}) {
      const LayerRun low = RunLayer(cell, precision);
      EXPECT_LE(Difference(low.output, exact.output), tolerance);
      EXPECT_GT(Difference(low.output, exact.output), 0);
      for (size_t i = 0; i < exact.gradients.size(); ++i) {
        const double size = exact.gradients[i].abs().max().item<double>();
        EXPECT_LE(Difference(low.gradients[i], exact.gradients[i]), tolerance * size) << i;
        EXPECT_GT(Difference(low.gradients[i], exact.gradients[i]), 1e-8 * size) << i;
      }
    }
    EXPECT_TRUE(at::equal(RunLayer(cell, {}).output, exact.output));  // the scope has ended
  }
}

TEST(RecurrentPrecision, SampleNormsAddUpToTheGradientTheyBelongTo) {
  at::manual_seed(6);
  const auto model = CharRnn("GRU", 300, 16, 33, 2);  // too many characters to fold the table
  const at::Tensor ids = at::randint(300, {6, 10}, c10::kLong);
  const auto loss = [&](int64_t first, int64_t count) {
    return model->Forward(ids.narrow(0, first, count), nullptr).square().mean() * count;
  };
  const auto exact = tscore::ExactScore(*model, 6, loss);
  const PrecisionScope scope(kEmulatedBf16);
  const auto low = tscore::ExactScore(*model, 6, loss, /*verify=*/true);
  ASSERT_TRUE(exact.ok() && low.ok()) << low.status();
  for (int64_t i = 0; i < 6; ++i) EXPECT_NEAR(low->sample_sq[i], exact->sample_sq[i], 0.05 * exact->sample_sq[i]);
  EXPECT_NEAR(*low->t, *exact->t, 1e-2);
}

}  // namespace
}  // namespace lanthorn::kernels
