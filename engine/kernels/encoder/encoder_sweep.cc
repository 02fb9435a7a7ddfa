#include "engine/kernels/encoder/encoder_sweep.h"

#include "engine/kernels/encoder/add_norm_kernel.h"
#include "engine/kernels/encoder/gated_kernel.h"
#include "engine/kernels/gemm/panels.h"
#include "engine/kernels/linear/linear_pack.h"

namespace lanthorn::kernels {
namespace {

int64_t Blocks(int64_t rows, int64_t most) { return (rows + most - 1) / most; }

// One chunk's way through the parts of its node.
class Sweep {
 public:
  Sweep(const EncoderLayout& l, const EncoderWeights& w, const EncoderChunk& c)
      : l_(l), w_(w), c_(c), rows_(c.samples * l.T), norm_(c.node * l.d) {}

  void Linear(int linear, const float* x, float* y, float* slope = nullptr) const {
    const LinearLayout layout = l_.Linear(linear, c_.samples, c_.Row(l_));
    const int64_t padded = Panels(layout.out) * PanelWidth();
    const float* bias = w_.bias[linear] != nullptr ? w_.bias[linear] + c_.node * padded : nullptr;
    LinearForward(layout, {x, w_.weight[linear] + c_.node * padded * PlacesOf(l_.operands, layout.in), bias, y, slope},
                  0, Blocks(layout.rows(), kForwardRows));
  }

  // times: null, or (rows, in): the result times this.
  void InputGradient(int linear, const float* grad_y, float* grad_x, bool add, const float* times = nullptr) const {
    const LinearLayout layout = l_.Linear(linear, c_.samples, c_.Row(l_));
    const int64_t places = Panels(PlacesOf(l_.operands, layout.out)) * PanelWidth();
    const int64_t size = Panels(layout.in) * PanelWidth() * places;
    const LinearInputMemory memory = {grad_y, nullptr, w_.weight[linear] + c_.node * size, grad_x, add, times};
    LinearInputGradient(layout, memory, 0, Blocks(layout.rows(), kBackwardRows));
  }

  AttentionLayout Attention() const {
    const EncoderOptions& o = l_.options;
    return {c_.samples,
            l_.T,
            o.heads,
            l_.inner / o.heads,
            o.causal,
            o.dropout[kDropAttention],
            o.seeds[kDropAttention],
            (c_.node * l_.N + c_.first) * o.heads};
  }

  NormLayout Norm(EncoderDrop drop) const {
    const EncoderOptions& o = l_.options;
    return {1, c_.samples, l_.T, l_.d, /*shared=*/true, {o.rms, o.eps, o.dropout[drop], o.seeds[drop]}, c_.Row(l_)};
  }

  const float* NormWeight(int which) const { return Node(w_.norm_weight[which]); }

  // sum = x + drop(y), normed = its norm; without y of x, without normed the sum alone.
  void AddNorm(int which, EncoderDrop drop, const float* x, const float* y, float* sum, float* normed,
               float* statistics) const {
    NormForward(Norm(drop), {x, y, Node(w_.norm_weight[which]), Node(w_.norm_bias[which]), sum, normed, statistics}, 0,
                rows_);
  }

  GatedLayout Gate() const {
    return {rows_, l_.ff, l_.options.dropout[kDropHidden], l_.options.seeds[kDropHidden], c_.Row(l_)};
  }

  // x (rows, d) through attention and its projection.
  void Attend(const float* x, const AttentionKeys& keys, const EncoderActivations& to, float* y) const {
    Linear(kJoined, x, to.qkv);
    AttentionForward(Attention(), {to.qkv, keys}, to.mixed, to.sums, 0, c_.samples * l_.options.heads);
    Linear(kProjection, to.mixed, y);
  }

  void Feed(const float* x, const EncoderActivations& to, float* y) const {
    if (l_.options.gated) {
      Linear(kFirst, x, to.wide);
      GatedForward(Gate(), to.wide, to.hidden);
    } else {
      Linear(kFirst, x, to.hidden, to.slope);
    }
    Linear(kSecond, to.hidden, y);
  }

  // From the gradient of what the feed-forward layers gave to that of their input, which is added to what grad_x holds
  // if `add`. hidden: (rows, ff), if gated.
  void FeedBackward(const EncoderActivations& from, const EncoderDeltas& deltas, bool add, float* grad_x,
                    float* hidden) const {
    if (l_.options.gated) {
      InputGradient(kSecond, deltas[kSecond], hidden, /*add=*/false);
      GatedBackward(Gate(), from.wide, hidden, deltas[kFirst]);
    } else {
      InputGradient(kSecond, deltas[kSecond], deltas[kFirst], /*add=*/false, from.slope);
    }
    InputGradient(kFirst, deltas[kFirst], grad_x, add);
  }

  // From deltas[kProjection] to deltas[kJoined]. mixed: (rows, inner).
  void AttendBackward(const EncoderActivations& from, const EncoderBackwardMemory& m, const EncoderDeltas& deltas,
                      float* mixed) const {
    InputGradient(kProjection, deltas[kProjection], mixed, /*add=*/false);
    AttentionBackward(Attention(), {from.qkv, m.keys}, from.sums, mixed, deltas[kJoined], m.grad_bias_rows, 0,
                      c_.samples * l_.options.heads);
  }

  int64_t rows() const { return rows_; }
  int64_t parts() const { return c_.samples * l_.segments(); }

 private:
  const float* Node(const float* of_all) const { return of_all != nullptr ? of_all + norm_ : nullptr; }

  const EncoderLayout& l_;
  const EncoderWeights& w_;
  const EncoderChunk& c_;
  int64_t rows_, norm_;
};

}  // namespace

LinearLayout EncoderLayout::Linear(int linear, int64_t samples, int64_t row) const {
  LinearLayout layout = {1, samples, T, in(linear), out(linear), /*shared=*/true, {}, row};
  if (linear == kFirst && !options.gated)
    layout.options = {options.activation, options.dropout[kDropHidden], options.seeds[kDropHidden]};
  layout.options.operands = operands;
  return layout;
}

int64_t EncoderLayout::segments() const { return (T + kSegmentRows - 1) / kSegmentRows; }

int64_t EncoderLayout::chunk(int64_t threads) const {
  int64_t samples = kChunkRows / T;
  if (weights() > kSmallWeights) samples = std::min((group() + threads - 1) / threads, kLargeChunkRows / T);
  return std::clamp<int64_t>(samples, 1, group());
}

void EncoderForward(const EncoderLayout& l, const EncoderWeights& w, const EncoderChunk& c, const float* x,
                    const AttentionKeys& keys, const EncoderActivations& to, float* work, float* y) {
  const Sweep sweep(l, w, c);
  if (l.options.norm_first) {
    sweep.AddNorm(0, kDropAttended, x, nullptr, nullptr, to.normed1, to.statistics1);
    sweep.Attend(to.normed1, keys, to, work);
    sweep.AddNorm(1, kDropAttended, x, work, to.attended, to.normed2, to.statistics2);
    sweep.Feed(to.normed2, to, work);
    sweep.AddNorm(1, kDropFed, to.attended, work, y, nullptr, nullptr);
    return;
  }
  sweep.Attend(x, keys, to, work);
  sweep.AddNorm(0, kDropAttended, x, work, to.attended, to.normed1, to.statistics1);
  sweep.Feed(to.normed1, to, work);
  sweep.AddNorm(1, kDropFed, to.normed1, work, to.fed, y, to.statistics2);
}

int64_t EncoderBackwardWork(const EncoderLayout& l, int64_t rows) {
  return rows * (2 * l.d + l.inner + (l.options.gated ? l.ff : 0));
}

void EncoderBackward(const EncoderLayout& l, const EncoderWeights& w, const EncoderChunk& c,
                     const EncoderActivations& from, const EncoderBackwardMemory& m, const EncoderDeltas& deltas) {
  const Sweep sweep(l, w, c);
  const int64_t rows = sweep.rows(), parts = sweep.parts();
  // grad_in: of a norm's output or a layer's input; attended: of x + drop(attend(...)).
  float *attended = m.work, *grad_in = attended + rows * l.d, *mixed = grad_in + rows * l.d,
        *hidden = mixed + rows * l.inner;
  const auto norm = [&](int which, EncoderDrop drop, NormBackwardMemory memory) {
    memory.weight = sweep.NormWeight(which);
    if (memory.grad_normed != nullptr) memory.parameters = m.norm_parts[which];
    NormBackward(sweep.Norm(drop), memory, 0, parts);
  };
  if (l.options.norm_first) {
    // The gradient of y is that of `attended` and, dropped, of what was fed.
    norm(1, kDropFed, {.with_y = true, .grad_sum = m.grad_y, .grad_y = deltas[kSecond]});
    sweep.FeedBackward(from, deltas, /*add=*/false, grad_in, hidden);
    norm(1, kDropAttended,
         {.sum = from.attended,
          .with_y = true,
          .statistics = from.statistics2,
          .grad_normed = grad_in,
          .grad_sum = m.grad_y,
          .grad_x = attended,
          .grad_y = deltas[kProjection]});
    sweep.AttendBackward(from, m, deltas, mixed);
    sweep.InputGradient(kJoined, deltas[kJoined], grad_in, /*add=*/false);
    norm(0, kDropAttended,
         {.sum = m.x,
          .statistics = from.statistics1,
          .grad_normed = grad_in,
          .grad_sum = attended,
          .grad_x = m.grad_x,
          .add = m.add});
    return;
  }
  norm(1, kDropFed,
       {.sum = from.fed,
        .with_y = true,
        .statistics = from.statistics2,
        .grad_normed = m.grad_y,
        .grad_x = attended,
        .grad_y = deltas[kSecond]});
  sweep.FeedBackward(from, deltas, /*add=*/true, attended, hidden);
  norm(0, kDropAttended,
       {.sum = from.attended,
        .with_y = true,
        .statistics = from.statistics1,
        .grad_normed = attended,
        .grad_x = m.grad_x,
        .grad_y = deltas[kProjection],
        .add = m.add});
  sweep.AttendBackward(from, m, deltas, mixed);
  if (m.want_x) sweep.InputGradient(kJoined, deltas[kJoined], m.grad_x, /*add=*/true);
}

}  // namespace lanthorn::kernels
