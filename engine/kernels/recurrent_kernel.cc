// Layout: everything is sample-major, (B, T, .), so that one sample's steps are contiguous and the products over time
// need no copies; a step's rows of several samples are strided by T.
#include "engine/kernels/recurrent_kernel.h"

#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <mutex>

#include "engine/kernels/gates.h"
#include "engine/kernels/gemm.h"

namespace lanthorn::kernels {
namespace {

template <typename T>
const T* Data(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<T>() : nullptr;
}

template <typename T>
struct Sizes {
  int64_t B, steps, I, H, G;
  Sizes(Cell cell, const at::Tensor& input, const RecurrentWeights& weights)
      : B(input.size(0)), steps(input.size(1)), I(input.size(2)), H(weights.w_hh.size(1)), G(GateCount(cell)) {}
};

// Rows [first, first + count) of the batch, all steps.
template <typename T>
void ForwardRows(Cell cell, const Sizes<T>& s, int64_t first, int64_t count, const at::Tensor& input,
                 const at::Tensor& h0, const at::Tensor& c0, const RecurrentWeights& weights,
                 const RecurrentForward& result) {
  const int64_t GH = s.G * s.H, steps = s.steps;
  const std::vector<T> no_bias(weights.b_ih.defined() ? 0 : GH, T(0));
  const T* bias_ih = weights.b_ih.defined() ? Data<T>(weights.b_ih) : no_bias.data();
  const T* bias_hh = weights.b_hh.defined() ? Data<T>(weights.b_hh) : no_bias.data();
  T* gates = result.gates.data_ptr<T>() + first * steps * GH;
  T* extra = result.extra.data_ptr<T>() + first * steps * s.H;
  T* output = result.output.data_ptr<T>() + first * steps * s.H;
  Gemm(false, true, count * steps, GH, s.I, Data<T>(input) + first * steps * s.I, s.I, Data<T>(weights.w_ih), s.I, T(0),
       gates, GH);
  std::vector<T> hidden(count * GH);
  for (int64_t t = 0; t < steps; ++t) {
    const T* h_before = t == 0 ? Data<T>(h0) + first * s.H : output + (t - 1) * s.H;
    const T* c_before = t == 0 ? (c0.defined() ? Data<T>(c0) + first * s.H : nullptr) : extra + (t - 1) * s.H;
    const int64_t stride = t == 0 ? s.H : steps * s.H;
    Gemm(false, true, count, GH, s.H, h_before, stride, Data<T>(weights.w_hh), s.H, T(0), hidden.data(), GH);
    for (int64_t b = 0; b < count; ++b) {
      const int64_t at = b * steps + t;
      const StepRow<T> row = {gates + at * GH,  hidden.data() + b * GH, bias_ih,
                              bias_hh,          h_before + b * stride,  c_before ? c_before + b * stride : nullptr,
                              extra + at * s.H, output + at * s.H};
      cell == Cell::kGru ? GruForward<T>(s.H, row) : LstmForward<T>(s.H, row);
    }
  }
}

// Deltas of all steps of rows [first, first + count), and the gradients of input and initial state.
template <typename T>
void BackwardRows(Cell cell, const Sizes<T>& s, int64_t first, int64_t count, const at::Tensor& c0,
                  const RecurrentWeights& weights, const RecurrentForward& forward, const at::Tensor& grad_output,
                  const RecurrentGradients& result) {
  const int64_t GH = s.G * s.H, steps = s.steps;
  T* gates = forward.gates.data_ptr<T>() + first * steps * GH;
  T* extra = forward.extra.data_ptr<T>() + first * steps * s.H;
  const T* dy = Data<T>(grad_output) + first * steps * s.H;
  const T* h_before = Data<T>(result.h_before) + first * steps * s.H;
  T* delta_ih = result.delta_ih.data_ptr<T>() + first * steps * GH;
  T* delta_hh = result.delta_hh.data_ptr<T>() + first * steps * GH;
  T* dh = result.h0.data_ptr<T>() + first * s.H;                                  // zero before
  T* dc = cell == Cell::kLstm ? result.c0.data_ptr<T>() + first * s.H : nullptr;  // the gradient of the last cell state
  for (int64_t t = steps - 1; t >= 0; --t) {
    for (int64_t b = 0; b < count; ++b) {
      const int64_t at = b * steps + t;
      T* dh_row = dh + b * s.H;
      for (int64_t i = 0; i < s.H; ++i) dh_row[i] += dy[at * s.H + i];
      const T* c_before = cell == Cell::kGru ? nullptr
                          : t == 0           ? Data<T>(c0) + (first + b) * s.H
                                             : extra + (at - 1) * s.H;
      const StepRow<T> row = {gates + at * GH,     nullptr,  nullptr,          nullptr,
                              h_before + at * s.H, c_before, extra + at * s.H, nullptr};
      if (cell == Cell::kGru) {
        GruBackward<T>(s.H, row, dh_row, delta_ih + at * GH, delta_hh + at * GH);
      } else {
        LstmBackward<T>(s.H, row, dh_row, dc + b * s.H, delta_ih + at * GH);
      }
    }
    Gemm(false, false, count, s.H, GH, delta_hh + t * GH, steps * GH, Data<T>(weights.w_hh), s.H, T(1), dh, s.H);
  }
  if (result.input.defined()) {
    Gemm(false, false, count * steps, s.I, GH, delta_ih, GH, Data<T>(weights.w_ih), s.I, T(0),
         result.input.data_ptr<T>() + first * steps * s.I, s.I);
  }
}

// sum += delta^T x over rows; with `squares`, sample by sample, so that each sample's squared norm is known.
template <typename T>
void WeightGradient(int64_t first, int64_t count, int64_t steps, const at::Tensor& delta, const at::Tensor& x, T* sum,
                    T* tile, double* squares) {
  const int64_t out = delta.size(2), in = x.size(2);
  const T* d = Data<T>(delta) + first * steps * out;
  const T* a = Data<T>(x) + first * steps * in;
  if (squares == nullptr) {
    Gemm(true, false, out, in, count * steps, d, out, a, in, T(1), sum, in);
    return;
  }
  for (int64_t b = 0; b < count; ++b) {
    Gemm(true, false, out, in, steps, d + b * steps * out, out, a + b * steps * in, in, T(0), tile, in);
    squares[first + b] = SquareAndAccumulate(out * in, tile, sum);
  }
}

template <typename T>
void BiasGradient(int64_t first, int64_t count, int64_t steps, const at::Tensor& delta, T* sum, T* tile,
                  double* squares) {
  const int64_t out = delta.size(2);
  for (int64_t b = first; b < first + count; ++b) {
    std::fill(tile, tile + out, T(0));
    for (int64_t t = 0; t < steps; ++t) {
      const T* row = Data<T>(delta) + (b * steps + t) * out;
      for (int64_t i = 0; i < out; ++i) tile[i] += row[i];
    }
    const double square = SquareAndAccumulate(out, tile, sum);
    if (squares != nullptr) squares[b] = square;
  }
}

double* Squares(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<double>() : nullptr; }

template <typename T>
void WeightGradients(const Sizes<T>& s, const at::Tensor& input, const RecurrentGradients& result) {
  const int64_t GH = s.G * s.H;
  struct Sums {
    std::vector<T> w_ih, w_hh, b_ih, b_hh;
  };
  // Each thread adds up its rows on its own; the sums are joined in the order of rows, so that runs repeat bit for bit.
  std::mutex mutex;
  std::map<int64_t, Sums> parts;  // by first row
  at::parallel_for(0, s.B, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> w_ih(GH * s.I, T(0)), w_hh(GH * s.H, T(0)), b_ih(GH, T(0)), b_hh(GH, T(0));
    std::vector<T> tile(GH * std::max<int64_t>(std::max(s.I, s.H), 1));
    const int64_t count = end - begin;
    WeightGradient(begin, count, s.steps, result.delta_ih, input, w_ih.data(), tile.data(), Squares(result.sq_w_ih));
    WeightGradient(begin, count, s.steps, result.delta_hh, result.h_before, w_hh.data(), tile.data(),
                   Squares(result.sq_w_hh));
    if (result.b_ih.defined()) {
      BiasGradient(begin, count, s.steps, result.delta_ih, b_ih.data(), tile.data(), Squares(result.sq_b_ih));
      BiasGradient(begin, count, s.steps, result.delta_hh, b_hh.data(), tile.data(), Squares(result.sq_b_hh));
    }
    const std::lock_guard<std::mutex> lock(mutex);
    parts[begin] = {std::move(w_ih), std::move(w_hh), std::move(b_ih), std::move(b_hh)};
  });
  const auto join = [](const at::Tensor& total, const std::vector<T>& part) {
    T* to = total.data_ptr<T>();
    for (size_t i = 0; i < part.size(); ++i) to[i] += part[i];
  };
  for (const auto& [first, sums] : parts) {
    join(result.w_ih, sums.w_ih);
    join(result.w_hh, sums.w_hh);
    if (!result.b_ih.defined()) continue;
    join(result.b_ih, sums.b_ih);
    join(result.b_hh, sums.b_hh);
  }
}

}  // namespace

RecurrentForward RunForward(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                            const RecurrentWeights& weights) {
  const int64_t B = input.size(0), steps = input.size(1), H = weights.w_hh.size(1), GH = GateCount(cell) * H;
  const RecurrentForward result = {at::empty({B, steps, H}, input.options()),
                                   at::empty({B, steps, GH}, input.options()),
                                   at::empty({B, steps, H}, input.options())};
  AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "recurrent forward", [&] {
    const Sizes<scalar_t> sizes(cell, input, weights);
    at::parallel_for(0, B, 1, [&](int64_t begin, int64_t end) {
      ForwardRows(cell, sizes, begin, end - begin, input, h0, c0, weights, result);
    });
  });
  return result;
}

RecurrentGradients RunBackward(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                               const RecurrentWeights& weights, const RecurrentForward& forward,
                               const at::Tensor& grad_output, const at::Tensor& grad_c, bool want_input,
                               bool sample_squares) {
  const int64_t B = input.size(0), steps = input.size(1);
  const at::TensorOptions squares_options = input.options().dtype(c10::kDouble);
  RecurrentGradients result;
  if (want_input) result.input = at::empty_like(input);
  result.h0 = at::zeros_like(h0);
  if (cell == Cell::kLstm)
    result.c0 = grad_c.defined() ? grad_c.clone(at::MemoryFormat::Contiguous) : at::zeros_like(c0);
  result.delta_ih = at::empty_like(forward.gates);
  result.delta_hh = cell == Cell::kGru ? at::empty_like(forward.gates) : result.delta_ih;
  result.h_before = at::cat({h0.unsqueeze(1), forward.output.narrow(1, 0, steps - 1)}, 1);
  result.w_ih = at::zeros_like(weights.w_ih);
  result.w_hh = at::zeros_like(weights.w_hh);
  if (weights.b_ih.defined()) {
    result.b_ih = at::zeros_like(weights.b_ih);
    result.b_hh = at::zeros_like(weights.b_hh);
  }
  if (sample_squares) {
    for (at::Tensor* squares : {&result.sq_w_ih, &result.sq_w_hh, &result.sq_b_ih, &result.sq_b_hh}) {
      *squares = at::zeros({B}, squares_options);
    }
  }
  AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "recurrent backward", [&] {
    const Sizes<scalar_t> sizes(cell, input, weights);
    at::parallel_for(0, B, 1, [&](int64_t begin, int64_t end) {
      BackwardRows(cell, sizes, begin, end - begin, c0, weights, forward, grad_output, result);
    });
    WeightGradients(sizes, input, result);
  });
  return result;
}

}  // namespace lanthorn::kernels
