#include "engine/kernels/recurrent/recurrent_kernel.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include "engine/kernels/recurrent/recurrent_low.h"
#include "engine/kernels/recurrent/recurrent_steps.h"
#include "engine/kernels/recurrent/recurrent_table.h"
#include "engine/kernels/simd/for_threads.h"

namespace lanthorn::kernels {
namespace {

const float* Data(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; }
float* Mutable(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; }

RecurrentLayout LayoutOf(Cell cell, const SequenceInput& input, const RecurrentWeights& weights) {
  const at::Tensor& shape = input.shape();
  return {cell, shape.size(0), shape.size(1), weights.w_ih.size(1), weights.w_hh.size(1), PanelWidth()};
}

at::Tensor Transposed(const RecurrentLayout& l, const at::Tensor& w) {
  const int64_t inputs = w.size(1);
  const at::Tensor packed = at::empty({l.G * l.panels, inputs, l.P}, w.options());
  at::parallel_for(0, l.G * l.panels, 1, [&](int64_t begin, int64_t end) {
    PackTransposed({Data(w), l.G, l.H, inputs}, begin, end, Mutable(packed));
  });
  return packed;
}

at::Tensor Plain(const RecurrentLayout& l, const at::Tensor& w) {
  const int64_t columns = w.size(1), panels = (columns + l.P - 1) / l.P;
  const at::Tensor packed = at::empty({panels, l.G * l.padded, l.P}, w.options());
  at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
    PackPlain({Data(w), l.G, l.H, columns}, begin, end, Mutable(packed));
  });
  return packed;
}

// Activations as (B, slots, panels, T, P).
at::Tensor Blocks(const RecurrentLayout& l, const at::Tensor& activations) {
  return activations.as_strided({l.B, l.slots, l.panels, l.T, l.P},
                                {l.sample_stride, l.slot_stride, l.T * l.P, l.P, 1});
}

// What is added ahead, (G, padded), and the bias inside of the GRU's m, (padded).
std::pair<at::Tensor, at::Tensor> Biases(const RecurrentLayout& l, const RecurrentWeights& weights) {
  const at::Tensor ahead = at::zeros({l.G, l.padded}, weights.w_hh.options());
  const at::Tensor inside = at::zeros({l.padded}, weights.w_hh.options());
  if (!weights.b_ih.defined()) return {ahead, inside};
  const at::Tensor units = ahead.narrow(1, 0, l.H), b_hh = weights.b_hh.view({l.G, l.H});
  units.copy_(weights.b_ih.view({l.G, l.H}));
  const int64_t linear = l.cell == Cell::kGru ? 2 : l.G;
  units.narrow(0, 0, linear).add_(b_hh.narrow(0, 0, linear));
  if (l.cell == Cell::kGru) inside.narrow(0, 0, l.H).copy_(b_hh[2]);
  return {ahead, inside};
}

// The gradients of one weight (if `with_weight`) and its bias, and with `squares` their samples' squared norms.
void Gradient(const RecurrentLayout& l, WeightMemory memory, bool with_weight, const at::Tensor& weight,
              const at::Tensor& bias, at::Tensor* weight_squares, at::Tensor* bias_squares, bool squares) {
  const at::TensorOptions wide = weight.options().dtype(c10::kDouble);
  at::Tensor weight_parts, bias_parts;
  if (squares && with_weight) weight_parts = at::empty({l.G * l.panels, l.B}, wide);
  if (squares && bias.defined()) bias_parts = at::empty({l.G * l.panels, l.B}, wide);
  memory.weight = with_weight ? Mutable(weight) : nullptr;
  memory.bias = Mutable(bias);
  memory.weight_squares = weight_parts.defined() ? weight_parts.data_ptr<double>() : nullptr;
  memory.bias_squares = bias_parts.defined() ? bias_parts.data_ptr<double>() : nullptr;
  ForThreads(l.G * l.panels, [&](int64_t begin, int64_t end) { WeightGradient(l, memory, begin, end); });
  if (weight_parts.defined()) *weight_squares = weight_parts.sum(0);
  if (bias_parts.defined()) *bias_squares = bias_parts.sum(0);
}

at::Tensor InputGradient(const RecurrentLayout& l, const at::Tensor& activations, const at::Tensor& weight) {
  const at::Tensor w_ih = Plain(l, weight), gradient = at::empty({l.B, l.T, l.I}, weight.options());
  ForThreads(l.B, [&](int64_t begin, int64_t end) {
    InputGradient(l, Data(activations), Data(w_ih), Mutable(gradient), begin, end);
  });
  return gradient;
}

}  // namespace

RecurrentForward RunForward(Cell cell, const SequenceInput& input, const at::Tensor& h0, const at::Tensor& c0,
                            const RecurrentWeights& weights, const Precision& precision) {
  const RecurrentLayout l = LayoutOf(cell, input, weights);
  const at::TensorOptions options = input.values.options();
  const RecurrentForward result = {at::empty({l.B, l.T, l.H}, options),
                                   cell == Cell::kLstm ? at::empty({l.B, l.H}, options) : at::Tensor(),
                                   at::empty({l.ActivationSize()}, options)};
  const bool plain = precision.kind == Precision::kFp32;
  at::Tensor w_hh;
  std::unique_ptr<LowProduct> low;
  if (plain) {
    w_hh = Transposed(l, weights.w_hh);
  } else {
    const at::Tensor padded = PadGates(l, weights.w_hh);
    low = std::make_unique<LowProduct>(precision, /*transpose_b=*/true, l.G * l.padded, l.H, Data(padded), l.H);
  }
  const auto [bias, b_hn] = Biases(l, weights);
  ForwardMemory memory = {};
  at::Tensor w_ih, table;
  if (input.ids.defined()) {
    table = ProjectTable(l, input.values, weights.w_ih, bias);
    memory.ids = input.ids.data_ptr<int64_t>();
    memory.table = Data(table);
  } else if (plain) {
    w_ih = Transposed(l, weights.w_ih);
    memory.input = Data(input.values);
    memory.w_ih = Data(w_ih);
  } else {
    LowProjectInput(l, precision, input.values, weights.w_ih, bias, result.activations);
  }
  memory.low = low.get();
  memory.w_hh = Data(w_hh);
  memory.bias = Data(bias);
  memory.b_hn = Data(b_hn);
  memory.h0 = Data(h0);
  memory.c0 = Data(c0);
  memory.activations = Mutable(result.activations);
  memory.output = Mutable(result.output);
  ForThreads(l.B, [&](int64_t begin, int64_t end) { ForwardSamples(l, memory, begin, end); });
  if (cell == Cell::kLstm) {
    const at::Tensor last = Blocks(l, result.activations).select(1, 4).select(2, l.T - 1);  // (B, panels, P)
    result.c.copy_(last.reshape({l.B, l.padded}).narrow(1, 0, l.H));
  }
  return result;
}

RecurrentGradients RunBackward(Cell cell, const SequenceInput& input, const at::Tensor& h0, const at::Tensor& c0,
                               const RecurrentWeights& weights, const RecurrentForward& forward,
                               const RecurrentAsked& asked, const Precision& precision) {
  const RecurrentLayout l = LayoutOf(cell, input, weights);
  RecurrentGradients result;
  result.h0 = at::empty_like(h0);
  if (cell == Cell::kLstm) result.c0 = at::empty_like(c0);
  result.w_ih = at::empty_like(weights.w_ih);
  result.w_hh = at::empty_like(weights.w_hh);
  if (weights.b_ih.defined()) {
    result.b_ih = at::empty_like(weights.b_ih);
    result.b_hh = at::empty_like(weights.b_hh);
  }
  const bool plain = precision.kind == Precision::kFp32;
  const at::Tensor w_hh = plain ? Plain(l, weights.w_hh) : PadGates(l, weights.w_hh);
  std::unique_ptr<LowProduct> low;
  if (!plain)
    low = std::make_unique<LowProduct>(precision, /*transpose_b=*/false, l.H, l.G * l.padded, Data(w_hh), l.H);
  const at::Tensor last_c = asked.grad_c.defined() ? asked.grad_c.contiguous() : asked.grad_c;
  const BackwardMemory memory = {low.get(),
                                 Data(w_hh),
                                 Data(h0),
                                 Data(c0),
                                 Data(forward.output),
                                 Data(asked.grad_output),
                                 Data(last_c),
                                 Mutable(forward.activations),
                                 Mutable(result.h0),
                                 Mutable(result.c0)};
  ForThreads(l.B, [&](int64_t begin, int64_t end) { BackwardSamples(l, memory, begin, end); });
  if (input.ids.defined()) {
    TableGradient(l, input, weights, forward.activations, asked.want_input, asked.sample_squares, &result);
  } else {
    if (asked.want_input) {
      result.input = plain ? InputGradient(l, forward.activations, weights.w_ih)
                           : LowInputGradient(l, precision, forward.activations, weights.w_ih);
    }
    WeightMemory of_input = {};
    of_input.activations = Data(forward.activations);
    of_input.rows = Data(input.values);
    of_input.inputs = l.I;
    Gradient(l, of_input, plain, result.w_ih, result.b_ih, &result.sq_w_ih, &result.sq_b_ih, asked.sample_squares);
    if (!plain) {
      LowWeightGradient(l, precision, forward.activations, /*hidden=*/false, input.values, result.w_ih,
                        asked.sample_squares ? &result.sq_w_ih : nullptr);
    }
  }
  WeightMemory of_hidden = {};
  of_hidden.activations = Data(forward.activations);
  of_hidden.first_row = Data(h0);
  of_hidden.rows = Data(forward.output);
  of_hidden.inputs = l.H;
  of_hidden.hidden = true;
  Gradient(l, of_hidden, plain, result.w_hh, result.b_hh, &result.sq_w_hh, &result.sq_b_hh, asked.sample_squares);
  if (!plain) {
    LowWeightGradient(l, precision, forward.activations, /*hidden=*/true, RowsBefore(h0, forward.output), result.w_hh,
                      asked.sample_squares ? &result.sq_w_hh : nullptr);
  }
  return result;
}

at::Tensor RowsBefore(const at::Tensor& h0, const at::Tensor& output) {
  return at::cat({h0.unsqueeze(1), output.narrow(1, 0, output.size(1) - 1)}, 1);
}

at::Tensor Deltas(Cell cell, const at::Tensor& activations, const at::Tensor& output, bool hidden) {
  const RecurrentLayout l(cell, output.size(0), output.size(1), 0, output.size(2), PanelWidth());
  const at::Tensor blocks = Blocks(l, activations);
  std::vector<at::Tensor> gates;
  for (int64_t gate = 0; gate < l.G; ++gate) {
    const at::Tensor slot = blocks.select(1, hidden ? l.HiddenSlot(gate) : l.InputSlot(gate));  // (B, panels, T, P)
    gates.push_back(slot.transpose(1, 2).reshape({l.B, l.T, l.padded}).narrow(2, 0, l.H));
  }
  return at::cat(gates, 2);
}

}  // namespace lanthorn::kernels
