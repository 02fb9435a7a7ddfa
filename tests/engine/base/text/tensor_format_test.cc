#include "engine/base/text/tensor_format.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <limits>
#include <sstream>

#include "engine/base/files/files.h"
#include "tests/engine/folders.h"

namespace lanthorn {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor Of(const std::vector<double>& values, at::ScalarType dtype = at::kFloat) {
  return at::tensor(values, at::kDouble).to(dtype);
}
at::Tensor Ramp(int64_t n, at::ScalarType dtype = at::kFloat) { return at::arange(n, dtype); }

// The tensors of tests/golden/make_tensor_format.py.
std::map<std::string, at::Tensor> Cases() {
  const at::Tensor weight = Of({1.5, -2.25}).requires_grad_();
  return {
      {"floats", Of({0.1, -2.5, 3.14159, 100, 0.25, 7}).view({2, 3})},
      {"whole_floats", Of({1, 20, -300})},
      {"whole_floats_wide_range", Of({1, 2000})},
      {"whole_floats_at_the_limit", Of({1, 1000})},
      {"whole_floats_large", Of({123456789, 200000000})},
      {"zeros", at::zeros({2, 3})},
      {"negative_zero", Of({-0.0, 0.0})},
      {"scientific_by_ratio", Of({0.001, 10})},
      {"scientific_by_size", Of({1.5e9, 2.5e9})},
      {"scientific_small", Of({1.5e-5, -2.5e-5, 0, 3.25e-5}).view({2, 2})},
      {"scientific_three_digit_exponent", Of({1e-120, 1e200}, at::kDouble)},
      {"inf_and_nan", Of({kInf, -kInf, kNan, 1.5})},
      {"only_inf_and_nan", Of({kInf, -kInf, kNan})},
      {"whole_with_inf", Of({1, kInf, kNan, -3})},
      {"scientific_with_inf", Of({1e-6, kInf, -1})},
      {"scalar", at::scalar_tensor(1.5, at::kFloat)},
      {"scalar_whole", at::scalar_tensor(3, at::kFloat)},
      {"scalar_int", at::scalar_tensor(7, at::kLong)},
      {"scalar_bool", at::scalar_tensor(true, at::kBool)},
      {"ints", Of({1, -20, 300, 4}, at::kLong).view({2, 2})},
      {"int32", Of({1, 2}, at::kInt)},
      {"uint8", Of({0, 255}, at::kByte)},
      {"bools", Of({1, 0, 0, 0}, at::kBool).view({2, 2})},
      {"half", Of({0.1, 65504}, at::kHalf)},
      {"bfloat16", Of({0.1, 3}, at::kBFloat16)},
      {"double", Of({0.1, 3}, at::kDouble)},
      {"empty", at::zeros({0})},
      {"empty_matrix", at::zeros({0, 3})},
      {"empty_int", at::zeros({0}, at::kLong)},
      {"empty_int_cube", at::zeros({2, 0, 3}, at::kLong)},
      {"wrapped_vector", Ramp(40) * 0.5},
      {"wrapped_ints", Ramp(60, at::kLong) * 1000},
      {"wrapped_rows", (Ramp(50) / 7).view({2, 25})},
      {"thousand", Ramp(1000, at::kLong)},
      {"summarised_vector", Ramp(1001)},
      {"summarised_matrix", (Ramp(10000) / 16).view({100, 100})},
      {"summarised_short_rows", Ramp(2000, at::kLong).view({1000, 2})},
      {"summarised_cube", Ramp(8 * 9 * 20).view({8, 9, 20}) - 700},
      {"summarised_bools", Ramp(1200, at::kLong).remainder(3).eq(0)},
      {"summary_ignores_the_middle", at::cat({at::ones({600}), at::full({600}, 0.5), at::ones({600})})},
      {"cube", Ramp(12).view({2, 2, 3})},
      {"four_dims", Ramp(16, at::kLong).view({2, 2, 2, 2})},
      {"transposed", (Ramp(6) / 4).view({2, 3}).t()},
      {"complex", at::complex(Of({1.5, -2}), Of({-0.5, 4}))},
      {"complex_whole", at::complex(Of({1, -2, 0}), Of({0, -4, 10}))},
      {"complex_double_scalar", at::complex(Of({1}, at::kDouble), Of({-2}, at::kDouble)).squeeze()},
      {"complex_wrapped", at::complex(Ramp(12) / 4, -Ramp(12) / 3)},
      {"conjugated", at::complex(Of({1.5}), Of({2.5})).conj()},
      {"parameter", weight},
      {"gradient_function", weight * weight},
      {"gradient_of_a_sum", (weight * weight).sum()},
      {"suffix_fits", Ramp(12, at::kDouble) * 1.25},
      {"suffix_wraps", (Ramp(9, at::kDouble) * 1.25).requires_grad_()},
      {"suffix_wraps_short", (Ramp(8, at::kDouble) * 1.25).requires_grad_()},
      {"suffix_after_rows", (Ramp(16, at::kDouble) * 1.25).view({2, 8}).requires_grad_()},
      {"meta", at::empty({2, 3}, at::TensorOptions().device(at::kMeta))},
  };
}

// Golden texts by name.
std::map<std::string, std::string> Golden() {
  std::map<std::string, std::string> texts;
  std::istringstream lines(*ReadFile(GoldenPath("tensor_format.txt")));
  std::string line, name;
  bool first = true;
  while (std::getline(lines, line)) {
    if (line.rfind("== ", 0) == 0) {
      name = line.substr(3);
      first = true;
    } else {
      texts[name] += (first ? "" : "\n") + line;
      first = false;
    }
  }
  return texts;
}

TEST(TensorFormatTest, TextsEqualThoseOfPyTorch) {
  const auto golden = Golden();
  const auto cases = Cases();
  ASSERT_GE(golden.size(), 25u);
  for (const auto& [name, text] : golden) {
    ASSERT_TRUE(cases.count(name)) << name;
    EXPECT_EQ(FormatTensor(cases.at(name)), text) << name;
  }
  EXPECT_EQ(cases.size(), golden.size());
}

TEST(TensorFormatTest, UndefinedAndSparseTensorsArePrintedWithoutError) {
  EXPECT_EQ(FormatTensor(at::Tensor()), "tensor(undefined)");
  EXPECT_EQ(FormatTensorSummaryLine(at::Tensor()), "[undefined]");
  EXPECT_EQ(FormatTensor(at::eye(2).to_sparse()), "tensor([[1., 0.],\n        [0., 1.]], layout=torch.sparse_coo)");
}

TEST(TensorFormatTest, TheSummaryLineShowsTypeShapeAndDevice) {
  EXPECT_EQ(FormatTensorSummaryLine(at::zeros({2, 3})), "[float32 (2, 3) cpu]");
  EXPECT_EQ(FormatTensorSummaryLine(at::zeros({4}, at::kLong)), "[int64 (4,) cpu]");
  EXPECT_EQ(FormatTensorSummaryLine(at::scalar_tensor(1, at::kDouble)), "[float64 () cpu]");
}

TEST(TensorFormatTest, PrintingAVeryLargeTensorReadsOnlyItsEdges) {
  // 4 TB of address space: expand has stride 0, so a copy of the whole would fail.
  const std::string text = FormatTensor(at::ones({1}).expand({1000000, 1000000}));
  EXPECT_EQ(text.substr(0, 40), "tensor([[1., 1., 1.,  ..., 1., 1., 1.],\n");
}

TEST(TensorFormatTest, PrintingLeavesGradientModeAndTensorAlone) {
  const at::Tensor t = at::ones({2}).requires_grad_();
  FormatTensor(t);
  EXPECT_TRUE((t * 2).requires_grad());
}

}  // namespace
}  // namespace lanthorn
