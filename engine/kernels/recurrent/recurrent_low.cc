#include "engine/kernels/recurrent/recurrent_low.h"

#include <ATen/Functions.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "engine/kernels/simd/for_threads.h"

namespace lanthorn::kernels {
namespace {

constexpr int64_t kGroup = 8;  // samples whose gradients are added up together, whatever the number of threads

// One sample's gradients of all gates, (T, G*padded), out of their panels.
void UnpackDeltas(const RecurrentLayout& l, const float* activations, int64_t sample, bool hidden, float* to) {
  const int64_t width = l.G * l.padded;
  for (int64_t job = 0; job < l.G * l.panels; ++job) {
    const int64_t gate = job / l.panels;
    const int64_t slot = hidden ? l.HiddenSlot(gate) : l.InputSlot(gate);
    const float* from = activations + l.Block(sample, slot, job % l.panels);
    for (int64_t t = 0; t < l.T; ++t)
      std::memcpy(to + t * width + job * l.P, from + t * l.P, sizeof(float) * static_cast<size_t>(l.P));
  }
}

}  // namespace

at::Tensor PadGates(const RecurrentLayout& l, const at::Tensor& weight) {
  const int64_t columns = weight.size(1);
  return at::constant_pad_nd(weight.view({l.G, l.H, columns}), {0, 0, 0, l.padded - l.H})
      .view({l.G * l.padded, columns});
}

void LowProjectInput(const RecurrentLayout& l, const Precision& precision, const at::Tensor& input,
                     const at::Tensor& w_ih, const at::Tensor& bias, const at::Tensor& activations) {
  const int64_t width = l.G * l.padded;
  const LowProduct product(precision, /*transpose_b=*/true, width, l.I, PadGates(l, w_ih).data_ptr<float>(), l.I);
  ForThreads(l.B, [&](int64_t begin, int64_t end) {
    std::vector<float> rows(static_cast<size_t>(l.T * width));
    for (int64_t sample = begin; sample < end; ++sample) {
      product.Run(l.T, input.data_ptr<float>() + sample * l.T * l.I, l.I, 1, rows.data(), width);
      for (int64_t job = 0; job < l.G * l.panels; ++job) {
        float* to = activations.data_ptr<float>() + l.Block(sample, job / l.panels, job % l.panels);
        const float* add = bias.data_ptr<float>() + job * l.P;
        for (int64_t t = 0; t < l.T; ++t) {
          for (int64_t i = 0; i < l.P; ++i) to[t * l.P + i] = rows[t * width + job * l.P + i] + add[i];
        }
      }
    }
  });
}

at::Tensor LowInputGradient(const RecurrentLayout& l, const Precision& precision, const at::Tensor& activations,
                            const at::Tensor& w_ih) {
  const int64_t width = l.G * l.padded;
  const at::Tensor gradient = at::empty({l.B, l.T, l.I}, w_ih.options());
  const LowProduct product(precision, /*transpose_b=*/false, l.I, width, PadGates(l, w_ih).data_ptr<float>(), l.I);
  ForThreads(l.B, [&](int64_t begin, int64_t end) {
    std::vector<float> deltas(static_cast<size_t>(l.T * width));
    for (int64_t sample = begin; sample < end; ++sample) {
      UnpackDeltas(l, activations.data_ptr<float>(), sample, /*hidden=*/false, deltas.data());
      product.Run(l.T, deltas.data(), width, 1, gradient.data_ptr<float>() + sample * l.T * l.I, l.I);
    }
  });
  return gradient;
}

void LowWeightGradient(const RecurrentLayout& l, const Precision& precision, const at::Tensor& activations, bool hidden,
                       const at::Tensor& rows, const at::Tensor& weight, at::Tensor* squares) {
  const int64_t width = l.G * l.padded, columns = rows.size(2), groups = (l.B + kGroup - 1) / kGroup;
  const at::Tensor sums = at::zeros({groups, width * columns}, weight.options());
  if (squares != nullptr) *squares = at::zeros({l.B}, weight.options().dtype(c10::kDouble));
  at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    const at::Tensor tile = at::empty({width * columns}, weight.options());
    std::vector<float> deltas(static_cast<size_t>(l.T * width));
    for (int64_t sample = begin * kGroup; sample < std::min(end * kGroup, l.B); ++sample) {
      UnpackDeltas(l, activations.data_ptr<float>(), sample, hidden, deltas.data());
      const LowProduct product(precision, /*transpose_b=*/false, columns, l.T,
                               rows.data_ptr<float>() + sample * l.T * columns, columns);
      product.Run(width, deltas.data(), 1, width, tile.data_ptr<float>(), columns);
      sums[sample / kGroup].add_(tile);
      if (squares == nullptr) continue;
      double square = at::dot(tile, tile).item<double>();
      if (!std::isfinite(square)) square = tile.to(c10::kDouble).square().sum().item<double>();  // beyond float's range
      squares->data_ptr<double>()[sample] = square;
    }
  });
  weight.copy_(sums.sum(0).view({l.G, l.padded, columns}).narrow(1, 0, l.H).reshape(weight.sizes()));
}

}  // namespace lanthorn::kernels
