#include "engine/kernels/recurrent/recurrent_table.h"

#include <ATen/Functions.h>

#include <cstring>
#include <vector>

#include "engine/kernels/gemm/gemm.h"
#include "engine/kernels/recurrent/recurrent_steps.h"
#include "engine/kernels/simd/for_threads.h"

namespace lanthorn::kernels {
namespace {

// The distinct ids of each sample, one sample after the other.
struct DistinctIds {
  std::vector<int64_t> ids, first;   // first (B + 1): where a sample's ids begin
  std::vector<int64_t> row_of_step;  // (B, T) into ids
};

DistinctIds FindDistinct(const RecurrentLayout& l, const int64_t* ids, int64_t vocabulary) {
  DistinctIds found;
  std::vector<int64_t> seen(static_cast<size_t>(vocabulary), -1);
  for (int64_t sample = 0; sample < l.B; ++sample) {
    const int64_t first = static_cast<int64_t>(found.ids.size());
    found.first.push_back(first);
    for (int64_t t = 0; t < l.T; ++t) {
      int64_t& row = seen[static_cast<size_t>(ids[sample * l.T + t])];
      if (row < first) {
        row = static_cast<int64_t>(found.ids.size());
        found.ids.push_back(ids[sample * l.T + t]);
      }
      found.row_of_step.push_back(row);
    }
  }
  found.first.push_back(static_cast<int64_t>(found.ids.size()));
  return found;
}

// || sums_i^T x_i ||^2 per sample, (B), where x_i are its rows of the table: a sample's gradient of W_ih. As the
// products of the rows with each other (kernels/README.md, Gram) while these are fewer than the gradient's columns.
at::Tensor WeightSquares(const RecurrentLayout& l, const DistinctIds& distinct, const at::Tensor& sums,
                         const at::Tensor& table) {
  const at::Tensor squares = at::empty({l.B}, table.options().dtype(c10::kDouble));
  const int64_t width = l.G * l.padded;
  at::parallel_for(0, l.B, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> x, of_sums, of_x;
    for (int64_t sample = begin; sample < end; ++sample) {
      const int64_t first = distinct.first[sample], count = distinct.first[sample + 1] - first;
      const float* rows = sums.data_ptr<float>() + first * width;
      x.resize(static_cast<size_t>(count * l.I));
      for (int64_t row = 0; row < count; ++row)
        std::memcpy(x.data() + row * l.I, table.data_ptr<float>() + distinct.ids[first + row] * l.I, 4 * l.I);
      double total = 0;
      if (count < l.I) {
        of_sums.resize(static_cast<size_t>(count * count));
        of_x.resize(of_sums.size());
        Gemm({rows, width}, {rows, width, kTransposed}, {count, count, width}, 0.0f, of_sums.data(), count);
        Gemm({x.data(), l.I}, {x.data(), l.I, kTransposed}, {count, count, l.I}, 0.0f, of_x.data(), count);
        for (size_t i = 0; i < of_sums.size(); ++i) total += static_cast<double>(of_sums[i]) * of_x[i];
      } else {
        of_sums.resize(static_cast<size_t>(width * l.I));
        Gemm({rows, width, kTransposed}, {x.data(), l.I}, {width, l.I, count}, 0.0f, of_sums.data(), l.I);
        for (const float value : of_sums) total += static_cast<double>(value) * value;
      }
      squares.data_ptr<double>()[sample] = total < 0 ? 0 : total;  // rounding of cancelling products; NaN stays
    }
  });
  return squares;
}

// Sum over each sample's rows of a (rows) float64 tensor, (B).
at::Tensor SumOfSamples(const DistinctIds& distinct, const at::Tensor& of_rows) {
  const int64_t samples = static_cast<int64_t>(distinct.first.size()) - 1;
  const at::Tensor sums = at::zeros({samples}, of_rows.options());
  for (int64_t sample = 0; sample < samples; ++sample) {
    for (int64_t row = distinct.first[sample]; row < distinct.first[sample + 1]; ++row)
      sums.data_ptr<double>()[sample] += of_rows.data_ptr<double>()[row];
  }
  return sums;
}

// W (gates*hidden, columns) packed for products with W.
at::Tensor PackedPlain(const at::Tensor& w, int64_t gates, int64_t hidden) {
  const int64_t P = PanelWidth(), columns = w.size(1), padded = (hidden + P - 1) / P * P;
  const at::Tensor packed = at::empty({(columns + P - 1) / P, gates * padded, P}, w.options());
  PackPlain({w.data_ptr<float>(), gates, hidden, columns}, 0, packed.size(0), packed.data_ptr<float>());
  return packed;
}

// a b + bias, with b packed (panels, depth or more, P): the same bits on any number of threads, which BLAS does not
// give.
at::Tensor Product(const at::Tensor& a, const at::Tensor& b, int64_t columns, const at::Tensor& bias = {}) {
  const at::Tensor c = at::empty({a.size(0), columns}, a.options());
  const ProductMemory memory = {a.data_ptr<float>(),
                                a.stride(0),
                                a.stride(1),
                                a.size(1),
                                b.data_ptr<float>(),
                                b.stride(0),
                                bias.defined() ? bias.data_ptr<float>() : nullptr,
                                c.data_ptr<float>(),
                                columns};
  ForThreads(a.size(0), [&](int64_t begin, int64_t end) { MultiplyRows(memory, begin, end); });
  return c;
}

}  // namespace

at::Tensor ProjectTable(const RecurrentLayout& l, const at::Tensor& table, const at::Tensor& w_ih,
                        const at::Tensor& bias) {
  const at::Tensor packed = at::empty({l.G * l.panels, l.I, l.P}, w_ih.options());
  PackTransposed({w_ih.data_ptr<float>(), l.G, l.H, l.I}, 0, l.G * l.panels, packed.data_ptr<float>());
  return Product(table, packed, l.G * l.padded, bias);
}

// Gradients of W_ih, b_ih and the table. The steps of a sample that read the same row are added up first: what is left
// to multiply is at most V rows per sample, and V rows in all without `squares`.
void TableGradient(const RecurrentLayout& l, const SequenceInput& input, const RecurrentWeights& weights,
                   const at::Tensor& activations, bool want_table, bool squares, RecurrentGradients* result) {
  const int64_t vocabulary = input.values.size(0), width = l.G * l.padded;
  const DistinctIds distinct = FindDistinct(l, input.ids.data_ptr<int64_t>(), vocabulary);
  const int64_t count = static_cast<int64_t>(distinct.ids.size());
  // Room for the most rows there can be: a size that changed from step to step could not be kept for the next one.
  const at::Tensor room = at::empty({l.B * std::min(l.T, vocabulary), width}, input.values.options());
  const at::Tensor sums = room.narrow(0, 0, count).zero_();
  ForThreads(l.B, [&](int64_t begin, int64_t end) {
    CollapseSteps(l, activations.data_ptr<float>(), distinct.row_of_step.data(), sums.data_ptr<float>(), begin, end);
  });
  const at::Tensor total = at::zeros({vocabulary, width}, input.values.options());
  ForThreads(width, [&](int64_t begin, int64_t end) {
    AddRows(sums.data_ptr<float>(), distinct.ids.data(), count, width, begin, end, total.data_ptr<float>());
  });
  const at::Tensor w_ih = PackedPlain(weights.w_ih, l.G, l.H);
  const auto without_padding = [&](const at::Tensor& padded, at::IntArrayRef sizes) {
    return padded.view({l.G, l.padded, -1}).narrow(1, 0, l.H).reshape(sizes);
  };
  result->w_ih =
      without_padding(Product(total.t(), PackedPlain(input.values, 1, vocabulary), l.I), weights.w_ih.sizes());
  if (weights.b_ih.defined()) result->b_ih = without_padding(total.sum(0), weights.b_ih.sizes());
  if (want_table) result->input = Product(total, w_ih, l.I);
  if (!squares) return;
  const auto square_rows = [](const at::Tensor& rows) { return rows.to(c10::kDouble).square().sum(1); };
  result->sq_w_ih = WeightSquares(l, distinct, sums, input.values);
  if (want_table) result->sq_input = SumOfSamples(distinct, square_rows(Product(sums, w_ih, l.I)));
  if (!weights.b_ih.defined()) return;
  const at::Tensor of_samples = at::zeros({l.B, width}, input.values.options());
  std::vector<int64_t> owner;
  for (int64_t sample = 0; sample < l.B; ++sample)
    owner.resize(static_cast<size_t>(distinct.first[sample + 1]), sample);
  AddRows(sums.data_ptr<float>(), owner.data(), count, width, 0, width, of_samples.data_ptr<float>());
  result->sq_b_ih = square_rows(of_samples);
}

}  // namespace lanthorn::kernels
