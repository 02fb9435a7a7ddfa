// Compiled once per SIMD target by Highway's foreach_target; the functions at the end pick one at run time.
#include "engine/kernels/update/flat_updates.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/update/flat_updates.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Calls body(tag, i) for i in steps of a full vector, then lane by lane for the rest.
template <class Body>
HWY_INLINE void ForRange(int64_t begin, int64_t end, Body body) {
  const hn::ScalableTag<float> full;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(full));
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) body(full, i);
  for (; i < end; ++i) body(one, i);
}

// The scaled gradient with the decay that is added to it. Without decay p stays out of it: 0 times infinity is NaN.
template <class D, class V>
HWY_INLINE V Gradient(D d, const FlatTensor& t, V p, int64_t i) {
  const V g = hn::Mul(hn::Set(d, t.gradient_scale), hn::LoadU(d, t.gradient + i));
  return t.l2 == 0 ? g : hn::MulAdd(hn::Set(d, t.l2), p, g);
}

// Where p stands after an update that alone would bring it to `next`.
template <class D, class V>
HWY_INLINE V Moved(D d, const FlatTensor& t, V p, V next, int64_t i) {
  if (t.apply == 1 && t.least == 0) return next;
  if (t.apply == 0) return p;
  const V moved = t.apply == 1 ? next : hn::MulAdd(hn::Set(d, t.apply), hn::Sub(next, p), p);
  return hn::IfThenElse(hn::Ge(hn::Abs(hn::LoadU(d, t.gradient + i)), hn::Set(d, t.least)), moved, p);
}

void AdamChunk(const AdamTensor& t, int64_t begin, int64_t end) {
  ForRange(begin, end, [&t](auto d, int64_t i) HWY_ATTR {
    const auto p = hn::LoadU(d, t.flat.p + i), g = Gradient(d, t.flat, p, i);
    const auto m = hn::MulAdd(hn::Set(d, t.beta1), hn::LoadU(d, t.m + i), hn::Mul(hn::Set(d, t.one_minus_beta1), g));
    const auto v =
        hn::MulAdd(hn::Set(d, t.beta2), hn::LoadU(d, t.v + i), hn::Mul(hn::Mul(hn::Set(d, t.one_minus_beta2), g), g));
    const auto root = hn::MulAdd(hn::Sqrt(v), hn::Set(d, t.root_scale), hn::Set(d, t.eps));
    hn::StoreU(m, d, t.m + i);
    hn::StoreU(v, d, t.v + i);
    const auto next = hn::NegMulAdd(hn::Set(d, t.rate), hn::Div(m, root), hn::Mul(hn::Set(d, t.keep), p));
    hn::StoreU(Moved(d, t.flat, p, next, i), d, t.flat.p + i);
  });
}

void SgdChunk(const SgdTensor& t, int64_t begin, int64_t end) {
  ForRange(begin, end, [&t](auto d, int64_t i) HWY_ATTR {
    const auto p = hn::LoadU(d, t.flat.p + i), g = Gradient(d, t.flat, p, i);
    auto step = g;
    if (t.buffer != nullptr) {
      const auto momentum = hn::Set(d, t.momentum);
      const auto buffer = hn::MulAdd(momentum, hn::LoadU(d, t.buffer + i), hn::Mul(hn::Set(d, t.take), g));
      hn::StoreU(buffer, d, t.buffer + i);
      step = t.nesterov ? hn::MulAdd(momentum, buffer, g) : buffer;
    }
    hn::StoreU(Moved(d, t.flat, p, hn::NegMulAdd(hn::Set(d, t.lr), step, p), i), d, t.flat.p + i);
  });
}

void RmsPropChunk(const RmsPropTensor& t, int64_t begin, int64_t end) {
  ForRange(begin, end, [&t](auto d, int64_t i) HWY_ATTR {
    const auto alpha = hn::Set(d, t.alpha), rest = hn::Set(d, t.one_minus_alpha);
    const auto p = hn::LoadU(d, t.flat.p + i), g = Gradient(d, t.flat, p, i);
    const auto square = hn::MulAdd(alpha, hn::LoadU(d, t.square + i), hn::Mul(hn::Mul(rest, g), g));
    hn::StoreU(square, d, t.square + i);
    auto under = square;
    if (t.mean != nullptr) {
      const auto mean = hn::MulAdd(alpha, hn::LoadU(d, t.mean + i), hn::Mul(rest, g));
      hn::StoreU(mean, d, t.mean + i);
      under = hn::NegMulAdd(mean, mean, square);
    }
    auto step = hn::Div(g, hn::Add(hn::Sqrt(under), hn::Set(d, t.eps)));
    if (t.buffer != nullptr) {
      step = hn::MulAdd(hn::Set(d, t.momentum), hn::LoadU(d, t.buffer + i), step);
      hn::StoreU(step, d, t.buffer + i);
    }
    hn::StoreU(Moved(d, t.flat, p, hn::NegMulAdd(hn::Set(d, t.lr), step, p), i), d, t.flat.p + i);
  });
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "engine/base/chunks.h"

namespace lanthorn::kernels {
HWY_EXPORT(AdamChunk);
HWY_EXPORT(SgdChunk);
HWY_EXPORT(RmsPropChunk);

namespace {
template <typename Tensor, typename Body>
void ForTensors(const std::vector<Tensor>& tensors, const Body& body) {
  std::vector<int64_t> sizes;
  for (const Tensor& tensor : tensors) sizes.push_back(tensor.flat.size);
  Chunks(sizes).ForEach([&](size_t i, int64_t begin, int64_t end, int64_t) { body(tensors[i], begin, end); });
}
}  // namespace

bool IsFlat(std::initializer_list<at::Tensor> tensors) {
  for (const at::Tensor& tensor : tensors) {
    if (!tensor.device().is_cpu() || tensor.scalar_type() != c10::kFloat || tensor.layout() != c10::kStrided ||
        !tensor.is_contiguous() || tensor.numel() != tensors.begin()->numel()) {
      return false;
    }
  }
  return true;
}

void AdamUpdate(const std::vector<AdamTensor>& tensors) {
  ForTensors(tensors, [](const AdamTensor& t, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(AdamChunk)(t, begin, end);
  });
}
void SgdUpdate(const std::vector<SgdTensor>& tensors) {
  ForTensors(tensors, [](const SgdTensor& t, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(SgdChunk)(t, begin, end);
  });
}
void RmsPropUpdate(const std::vector<RmsPropTensor>& tensors) {
  ForTensors(tensors, [](const RmsPropTensor& t, int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(RmsPropChunk)(t, begin, end);
  });
}

}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
