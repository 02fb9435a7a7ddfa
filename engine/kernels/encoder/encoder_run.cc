#include "engine/kernels/encoder/encoder_run.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <cstring>
#include <vector>

#include "engine/kernels/gemm/panels.h"
#include "engine/kernels/linear/linear_pack.h"
#include "engine/kernels/linear/packed_weights.h"
#include "engine/kernels/simd/for_threads.h"

namespace lanthorn::kernels {
namespace {

// 0 for what the block has not.
int64_t FloatsOfRow(const EncoderLayout& l, int activation) {
  const EncoderOptions& o = l.options;
  const std::array<int64_t, kEncoderActivations> floats = {3 * l.inner,
                                                           2 * o.heads,
                                                           l.inner,
                                                           l.d,
                                                           2,
                                                           l.d,
                                                           o.gated ? 2 * l.ff : 0,
                                                           l.ff,
                                                           l.Linear(kFirst, 1, 0).sloped() ? l.ff : 0,
                                                           o.norm_first ? 0 : l.d,
                                                           2,
                                                           o.norm_first ? l.d : 0};
  return floats[static_cast<size_t>(activation)];
}

EncoderTensors MakeTensors(const EncoderLayout& l, int64_t rows, bool slope, const at::TensorOptions& options) {
  EncoderTensors tensors;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t floats = FloatsOfRow(l, static_cast<int>(i));
    if (floats > 0 && (i != kSlope || slope)) tensors[i] = at::empty({rows, floats}, options);
  }
  return tensors;
}

EncoderActivations ActivationsAt(const EncoderLayout& l, const EncoderTensors& tensors, int64_t row) {
  const auto at = [&](int i) {
    const at::Tensor& tensor = tensors[static_cast<size_t>(i)];
    return tensor.defined() ? tensor.data_ptr<float>() + row * FloatsOfRow(l, i) : nullptr;
  };
  return {at(kQkv),  at(kSoftmaxSums), at(kMixed), at(kAttended), at(kStatistics1), at(kNormed1),
          at(kWide), at(kHidden),      at(kSlope), at(kFed),      at(kStatistics2), at(kNormed2)};
}

// The parameters as the sweeps read them.
struct Packed {
  std::vector<at::Tensor> tensors;  // keeps the memory
  EncoderWeights weights;

  Packed(const EncoderLayout& l, const EncoderParameters& p, bool backward) {
    const auto hold = [this](at::Tensor tensor) -> const float* {
      if (!tensor.defined()) return nullptr;
      tensors.push_back(std::move(tensor));
      return tensors.back().data_ptr<float>();
    };
    const auto plain = [](const at::Tensor& tensor) { return tensor.defined() ? tensor.contiguous() : tensor; };
    for (int i = 0; i < kEncoderLinears; ++i) {
      const at::Tensor matrix = p[kEncoderWeights[i]].contiguous();
      const PackedForm form = backward ? PackedForm::kBackwardEach : PackedForm::kForward;
      weights.weight[i] = hold(PackWeight(form, l.operands, matrix, l.nodes, l.out(i), l.in(i)));
      weights.bias[i] = backward ? nullptr : hold(PadBias(plain(p[kEncoderBiases[i]]), l.nodes, l.out(i)));
    }
    for (int norm = 0; norm < 2; ++norm) {
      weights.norm_weight[norm] = hold(plain(p[kEncoderNorms[norm]]));
      weights.norm_bias[norm] = hold(plain(p[kEncoderNorms[norm] + 1]));
    }
  }
};

// Calls body(chunk, thread) for the samples [first, last) of a node, shared out over the threads.
template <class Body>
void ForChunks(const EncoderLayout& l, int64_t node, int64_t first, int64_t last, const Body& body) {
  const int64_t chunk = l.chunk(at::get_num_threads()), chunks = (last - first + chunk - 1) / chunk;
  ForThreads(chunks, [&](int64_t begin, int64_t end) {
    const int64_t thread = at::get_thread_num();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = first + i * chunk;
      body(EncoderChunk{node, at, std::min(chunk, last - at)}, thread);
    }
  });
}

float* At(const at::Tensor& tensor, int64_t offset) { return tensor.data_ptr<float>() + offset; }
// Where the samples of a chunk lie in a (N, T, d) that all nodes share, or in a (nodes, N, T, d).
int64_t Offset(const EncoderLayout& l, const EncoderChunk& c, bool shared) {
  return (shared ? c.first * l.T : c.Row(l)) * l.d;
}

// y += x, or y = x.
void AddOrCopy(const float* x, int64_t size, bool add, float* y) {
  if (!add) {
    std::memcpy(y, x, sizeof(float) * static_cast<size_t>(size));
    return;
  }
  for (int64_t i = 0; i < size; ++i) y[i] += x[i];
}

// One backward over all nodes: the gradients of x and of what the norms and the linear layers gave.
class Backward {
 public:
  // whole: all deltas are kept, not only those of the group of samples that is worked on.
  Backward(const EncoderInputs& inputs, const EncoderTensors& saved, const at::Tensor& grad_y, bool want_x, bool whole,
           bool want_tables = false)
      : in_(inputs), l_(inputs.layout), saved_(saved), grad_y_(grad_y), want_x_(want_x), whole_(whole) {
    for (int i = 0; i < kEncoderLinears; ++i)
      deltas[i] = at::empty({whole ? l_.nodes * l_.rows() : l_.group() * l_.T, l_.out(i)}, inputs.x.options());
    for (int norm = 0; norm < 2; ++norm) {
      if (inputs.parameters[kEncoderNorms[norm]].defined())
        norm_parts[norm] = at::empty({l_.nodes, l_.N, l_.segments(), 2, l_.d}, inputs.x.options());
    }
    grad_x = at::empty_like(inputs.x);
    if (want_tables) grad_bias_rows = inputs.keys.MakeGradients(l_.options.heads);
  }

  // Calls then(node, first, samples) behind each group of samples, whose deltas are complete.
  template <class Then>
  void Run(const Then& then) {
    const Packed packed(l_, in_.parameters, /*backward=*/true);
    const int64_t threads = at::get_num_threads(), work_size = EncoderBackwardWork(l_, l_.chunk(threads) * l_.T);
    const at::Tensor work = at::empty({threads, work_size}, in_.x.options());
    for (int64_t node = 0; node < l_.nodes; ++node) {
      for (int64_t first = 0; first < l_.N; first += l_.group()) {
        const int64_t last = std::min(first + l_.group(), l_.N);
        ForChunks(l_, node, first, last, [&](const EncoderChunk& c, int64_t thread) {
          const int64_t x = Offset(l_, c, l_.shared), parts = (node * l_.N + c.first) * l_.segments() * 2 * l_.d;
          EncoderBackwardMemory memory;
          memory.x = At(in_.x, x);
          memory.keys = in_.keys.From(c.first);
          memory.grad_bias_rows = grad_bias_rows.defined()
                                      ? At(grad_bias_rows, c.first * l_.options.heads * grad_bias_rows[0].numel())
                                      : nullptr;
          memory.grad_y = At(grad_y_, Offset(l_, c, l_.options.mean));
          memory.grad_x = At(grad_x, x);
          memory.add = l_.shared && node > 0;
          memory.want_x = want_x_;
          for (int norm = 0; norm < 2; ++norm)
            memory.norm_parts[norm] = norm_parts[norm].defined() ? At(norm_parts[norm], parts) : nullptr;
          memory.work = At(work, thread * work_size);
          EncoderBackward(l_, packed.weights, c, ActivationsAt(l_, saved_, c.Row(l_)), memory,
                          DeltasAt(node, first, c.first));
        });
        then(node, first, last - first);
      }
    }
  }

  // The deltas of a sample and those behind it, of the group that starts at `group`.
  EncoderDeltas DeltasAt(int64_t node, int64_t group, int64_t sample) const {
    const int64_t row = whole_ ? node * l_.rows() + sample * l_.T : (sample - group) * l_.T;
    EncoderDeltas result;
    for (int i = 0; i < kEncoderLinears; ++i) result[i] = At(deltas[i], row * l_.out(i));
    return result;
  }

  EncoderDeltaTensors deltas;
  std::array<at::Tensor, 2> norm_parts;  // (nodes, N, segments, 2, d), or undefined
  at::Tensor grad_x, grad_bias_rows;

 private:
  const EncoderInputs& in_;
  const EncoderLayout& l_;
  const EncoderTensors& saved_;
  const at::Tensor& grad_y_;
  bool want_x_, whole_;
};

// The linear layers' share of the weights' gradients.
class WeightGradients {
 public:
  WeightGradients(const EncoderInputs& inputs, const EncoderTensors& saved, EncoderParameters& gradients, bool squares)
      : in_(inputs), l_(inputs.layout), saved_(saved), gradients_(gradients) {
    for (int i = 0; squares && i < kEncoderLinears; ++i)
      squares_[i] = at::zeros({2, l_.nodes * Panels(l_.out(i)), l_.N}, c10::kDouble);
  }

  // Adds what the samples [first, + samples) of a node give.
  void Add(int64_t node, int64_t first, int64_t samples, const EncoderDeltas& deltas) const {
    const int64_t row = node * l_.rows() + first * l_.T;
    const EncoderActivations saved = ActivationsAt(l_, saved_, row);
    const float* const x = At(in_.x, (l_.shared ? first * l_.T : row) * l_.d);
    std::array<LinearLayout, kEncoderLinears> layouts;
    std::array<LinearWeightMemory, kEncoderLinears> memories;
    std::array<int64_t, kEncoderLinears + 1> starts = {0};  // of each layer's panels, a panel counting its inputs
    for (int i = 0; i < kEncoderLinears; ++i) {
      const at::Tensor &weight = gradients_[kEncoderWeights[i]], &bias = gradients_[kEncoderBiases[i]];
      const int64_t in = l_.in(i), out = l_.out(i), panels = Panels(out);
      layouts[i] = l_.Linear(i, samples, row);
      LinearWeightMemory& m = memories[i];
      m = {saved.Input(i, x), deltas[i], nullptr, nullptr, nullptr, nullptr, nullptr, l_.N, first > 0};
      if (weight.defined()) m.weight = At(weight, node * out * in);
      if (bias.defined()) m.bias = At(bias, node * out);
      if (squares_[i].defined()) {
        m.weight_squares = squares_[i].data_ptr<double>() + node * panels * l_.N + first;
        m.bias_squares = m.weight_squares + l_.nodes * panels * l_.N;
      }
      starts[i + 1] = starts[i] + (weight.defined() || bias.defined() ? panels * in : 0);
    }
    ForThreads(starts[kEncoderLinears], [&](int64_t begin, int64_t end) {
      for (int i = 0; i < kEncoderLinears; ++i) {
        // The panels that start within this thread's part.
        const auto panel = [&](int64_t at) {
          const int64_t in = layouts[i].in, inside = std::clamp(at, starts[i], starts[i + 1]) - starts[i];
          return (inside + in - 1) / in;
        };
        const int64_t from = panel(begin), to = panel(end);
        if (from < to) LinearWeightGradient(layouts[i], memories[i], from, to);
      }
    });
  }

  // (2, N): of weight and bias; undefined if not wanted.
  at::Tensor Squares(int linear) const { return squares_[linear].defined() ? squares_[linear].sum(1) : at::Tensor(); }

 private:
  const EncoderInputs& in_;
  const EncoderLayout& l_;
  const EncoderTensors& saved_;
  EncoderParameters& gradients_;
  std::array<at::Tensor, kEncoderLinears> squares_;  // (2, nodes * panels, N)
};

}  // namespace

at::Tensor RunEncoderForward(const EncoderInputs& inputs, EncoderTensors* saved) {
  const EncoderLayout& l = inputs.layout;
  const at::TensorOptions options = inputs.x.options();
  const Packed packed(l, inputs.parameters, /*backward=*/false);
  const int64_t threads = at::get_num_threads(), rows = l.chunk(threads) * l.T;
  EncoderTensors local;
  if (saved != nullptr) {
    *saved = MakeTensors(l, l.nodes * l.rows(), /*slope=*/true, options);
  } else {
    local = MakeTensors(l, threads * rows, /*slope=*/false, options);
  }
  const at::Tensor work = at::empty({threads, 2, rows, l.d}, options);
  const bool mean = l.options.mean;
  const at::Tensor y = mean ? at::empty({l.N, l.T, l.d}, options) : at::empty({l.nodes, l.N, l.T, l.d}, options);
  for (int64_t node = 0; node < l.nodes; ++node) {
    ForChunks(l, node, 0, l.N, [&](const EncoderChunk& c, int64_t thread) {
      float *own = At(work, 2 * thread * rows * l.d), *to = At(y, Offset(l, c, mean));
      float* result = mean ? own + rows * l.d : to;
      const EncoderActivations activations =
          saved != nullptr ? ActivationsAt(l, *saved, c.Row(l)) : ActivationsAt(l, local, thread * rows);
      EncoderForward(l, packed.weights, c, At(inputs.x, Offset(l, c, l.shared)), inputs.keys.From(c.first), activations,
                     own, result);
      if (mean) AddOrCopy(result, c.samples * l.T * l.d, node > 0, to);
    });
  }
  if (mean && l.nodes > 1) y.div_(static_cast<double>(l.nodes));
  return y;
}

EncoderGradients RunEncoderBackward(const EncoderInputs& inputs, const EncoderTensors& saved, const at::Tensor& grad_y,
                                    const EncoderWanted& wanted) {
  EncoderGradients result;
  for (int i = 0; i < kEncoderLinears; ++i) {
    for (const EncoderParameter p : {kEncoderWeights[i], kEncoderBiases[i]}) {
      if (wanted.parameters[p])  // which are defined
        result.parameters[p] = at::empty_like(inputs.parameters[p], at::MemoryFormat::Contiguous);
    }
  }
  const WeightGradients weights(inputs, saved, result.parameters, wanted.squares);
  Backward backward(inputs, saved, grad_y, wanted.x, /*whole=*/false, wanted.tables);
  backward.Run([&](int64_t node, int64_t first, int64_t samples) {
    weights.Add(node, first, samples, backward.DeltasAt(node, first, first));
  });
  if (wanted.x) result.x = backward.grad_x;
  if (wanted.tables) result.tables = RelationGradients(backward.grad_bias_rows, inputs.keys.relations);
  for (int i = 0; i < kEncoderLinears; ++i) result.squares[i] = weights.Squares(i);
  for (int norm = 0; norm < 2; ++norm) {
    if (!backward.norm_parts[norm].defined()) continue;
    result.norms[norm] = backward.norm_parts[norm].sum(2);
    const at::Tensor total = result.norms[norm].sum(1);
    for (int which = 0; which < 2; ++which) {
      const int p = kEncoderNorms[norm] + which;
      if (wanted.parameters[p]) result.parameters[p] = total.select(1, which).reshape(inputs.parameters[p].sizes());
    }
  }
  return result;
}

EncoderDeltaTensors EncoderDeltasOf(const EncoderInputs& inputs, const EncoderTensors& saved,
                                    const at::Tensor& grad_y) {
  Backward backward(inputs, saved, grad_y, /*want_x=*/false, /*whole=*/true);
  backward.Run([](int64_t, int64_t, int64_t) {});
  return backward.deltas;
}

}  // namespace lanthorn::kernels
