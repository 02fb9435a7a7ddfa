#include <ATen/Functions.h>

#include "engine/kernels/recurrent/recurrent.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

at::Tensor Linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, const char* layer) {
  at::Tensor y = at::matmul(x, w.t());
  if (b.defined()) y = y + b;
  tscore::SampleLinear(y, x, w, b, layer);
  return y;
}

}  // namespace

RecurrentOutput RecurrentReference(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                                   const RecurrentWeights& weights) {
  const char* layer = cell == Cell::kGru ? "gru" : "lstm";
  const int64_t B = input.size(0), T = input.size(1), H = weights.w_hh.size(1);
  at::Tensor h = h0.defined() ? h0 : at::zeros({B, H}, input.options());
  at::Tensor c = cell == Cell::kLstm && !c0.defined() ? at::zeros({B, H}, input.options()) : c0;
  const at::Tensor projected = Linear(input, weights.w_ih, weights.b_ih, layer);  // (B, T, G*H)
  std::vector<at::Tensor> outputs;
  for (int64_t t = 0; t < T; ++t) {
    const std::vector<at::Tensor> x = projected.select(1, t).chunk(GateCount(cell), 1);
    const std::vector<at::Tensor> y = Linear(h, weights.w_hh, weights.b_hh, layer).chunk(GateCount(cell), 1);
    if (cell == Cell::kGru) {
      const at::Tensor r = at::sigmoid(x[0] + y[0]), z = at::sigmoid(x[1] + y[1]), n = at::tanh(x[2] + r * y[2]);
      h = (1 - z) * n + z * h;
    } else {
      const at::Tensor i = at::sigmoid(x[0] + y[0]), f = at::sigmoid(x[1] + y[1]), g = at::tanh(x[2] + y[2]),
                       o = at::sigmoid(x[3] + y[3]);
      c = f * c + i * g;
      h = o * at::tanh(c);
    }
    outputs.push_back(h);
  }
  const at::Tensor output = outputs.empty() ? at::zeros({B, 0, H}, input.options()) : at::stack(outputs, 1);
  return {output, h, c};
}

}  // namespace lanthorn::kernels
