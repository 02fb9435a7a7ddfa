// Compiled once per SIMD target by Highway's foreach_target; the functions at the end pick one at run time.
#include "engine/base/square_sum.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/base/square_sum.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Widened before squaring: the squares of large floats overflow float.
double FloatSquares(const float* x, int64_t size) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(wide));
  const auto load = [&](int64_t i) HWY_ATTR { return hn::PromoteTo(wide, hn::LoadU(narrow, x + i)); };
  auto a = hn::Zero(wide), b = hn::Zero(wide), c = hn::Zero(wide), d = hn::Zero(wide);
  int64_t i = 0;
  for (; i + 4 * lanes <= size; i += 4 * lanes) {
    const auto v = load(i), w = load(i + lanes), y = load(i + 2 * lanes), z = load(i + 3 * lanes);
    a = hn::MulAdd(v, v, a);
    b = hn::MulAdd(w, w, b);
    c = hn::MulAdd(y, y, c);
    d = hn::MulAdd(z, z, d);
  }
  double sum = hn::GetLane(hn::SumOfLanes(wide, hn::Add(hn::Add(a, b), hn::Add(c, d))));
  for (; i < size; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

}  // namespace lanthorn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <ATen/Functions.h>

#include "engine/base/chunks.h"

namespace lanthorn {
HWY_EXPORT(FloatSquares);

double SquareSumReference(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.detach().to(c10::kDouble).flatten();
  return at::dot(wide, wide).item<double>();
}

std::vector<double> SquareSums(const std::vector<at::Tensor>& tensors) {
  std::vector<double> sums(tensors.size(), 0.0);
  std::vector<const float*> data(tensors.size(), nullptr);
  std::vector<int64_t> sizes(tensors.size(), 0);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor& tensor = tensors[i];
    if (!tensor.defined()) continue;
    if (tensor.device().is_cpu() && tensor.scalar_type() == c10::kFloat && tensor.layout() == c10::kStrided &&
        tensor.is_contiguous()) {
      data[i] = tensor.data_ptr<float>();
      sizes[i] = tensor.numel();
    } else {
      sums[i] = SquareSumReference(tensor);
    }
  }
  const Chunks chunks(sizes);
  std::vector<double> parts(static_cast<size_t>(chunks.count()));
  chunks.ForEach([&](size_t i, int64_t begin, int64_t end, int64_t chunk) {
    parts[static_cast<size_t>(chunk)] = HWY_DYNAMIC_DISPATCH(FloatSquares)(data[i] + begin, end - begin);
  });
  for (size_t i = 0; i < tensors.size(); ++i) {
    for (int64_t chunk = chunks.first(i); chunk < chunks.first(i + 1); ++chunk)
      sums[i] += parts[static_cast<size_t>(chunk)];
  }
  return sums;
}

double SquareSum(const std::vector<at::Tensor>& tensors) {
  double sum = 0;
  for (double square : SquareSums(tensors)) sum += square;
  return sum;
}

}  // namespace lanthorn
#endif  // HWY_ONCE
