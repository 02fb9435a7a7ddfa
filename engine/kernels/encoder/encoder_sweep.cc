#include "engine/kernels/encoder/encoder_sweep.h"

#include "engine/kernels/attention/attention_kernel.h"
#include "engine/kernels/encoder/add_norm_kernel.h"
#include "engine/kernels/gemm/panels.h"
#include "engine/kernels/linear/linear_pack.h"

namespace lanthorn::kernels {
namespace {

int64_t Blocks(int64_t rows, int64_t most) { return (rows + most - 1) / most; }

void Forward(const EncoderLayout& l, const EncoderWeights& w, const EncoderChunk& c, int linear, const float* x,
             float* y, float* slope = nullptr) {
  const LinearLayout layout = l.Linear(linear, c.samples, c.Row(l));
  const int64_t padded = Panels(layout.out) * PanelWidth();
  const LinearForwardMemory memory = {x, w.weight[linear] + c.node * padded * layout.in,
                                      w.bias[linear] + c.node * padded, y, slope};
  LinearForward(layout, memory, 0, Blocks(layout.rows(), kForwardRows));
}

void InputGradient(const EncoderLayout& l, const EncoderWeights& w, const EncoderChunk& c, int linear,
                   const float* grad_y, const float* slope, float* grad_x, bool add) {
  const LinearLayout layout = l.Linear(linear, c.samples, c.Row(l));
  const int64_t size = Panels(layout.in) * Panels(layout.out) * PanelWidth() * PanelWidth();
  const LinearInputMemory memory = {grad_y, slope, w.weight[linear] + c.node * size, grad_x, add};
  LinearInputGradient(layout, memory, 0, Blocks(layout.rows(), kBackwardRows));
}

AttentionLayout AttentionOf(const EncoderLayout& l, const EncoderChunk& c) {
  const EncoderOptions& o = l.options;
  return {c.samples, l.T,       o.heads,          l.width(),
          o.causal,  o.dropout, o.attention_seed, (c.node * l.N + c.first) * o.heads};
}

NormLayout NormOf(const EncoderLayout& l, const EncoderChunk& c, bool second) {
  NormLayout layout = {1, c.samples, l.T, l.d, /*shared=*/true, {/*rms=*/false, l.options.eps}, c.Row(l)};
  if (second) layout.options.dropout = l.options.dropout, layout.options.seed = l.options.output_seed;
  return layout;
}

}  // namespace

LinearLayout EncoderLayout::Linear(int linear, int64_t samples, int64_t row) const {
  LinearLayout layout = {1, samples, T, in(linear), out(linear), /*shared=*/true, {}, row};
  if (linear == kFirst) layout.options = {Activation::kGelu, options.dropout, options.hidden_seed};
  return layout;
}

int64_t EncoderLayout::segments() const { return (T + kSegmentRows - 1) / kSegmentRows; }

void EncoderForward(const EncoderLayout& l, const EncoderWeights& w, const EncoderChunk& c, const float* x,
                    const float* keep, const EncoderActivations& to, float* work, float* y) {
  const int64_t rows = c.samples * l.T;
  Forward(l, w, c, kJoined, x, to.qkv);
  AttentionForward(AttentionOf(l, c), {to.qkv, keep}, to.mixed, to.sums, 0, c.samples * l.options.heads);
  Forward(l, w, c, kProjection, to.mixed, work);
  const int64_t norm = c.node * l.d;
  NormForward(NormOf(l, c, false),
              {x, work, w.norm1_weight + norm, w.norm1_bias + norm, to.sum1, to.normed1, to.statistics1}, 0, rows);
  Forward(l, w, c, kFirst, to.normed1, to.hidden, to.slope);
  Forward(l, w, c, kSecond, to.hidden, work);
  NormForward(NormOf(l, c, true),
              {to.normed1, work, w.norm2_weight + norm, w.norm2_bias + norm, to.sum2, y, to.statistics2}, 0, rows);
}

void EncoderBackward(const EncoderLayout& l, const EncoderWeights& w, const EncoderChunk& c,
                     const EncoderActivations& from, const EncoderBackwardMemory& m, const EncoderDeltas& deltas) {
  const int64_t parts = c.samples * l.segments(), norm = c.node * l.d;
  float *attended = m.work, *mixed = m.work + c.samples * l.T * l.d;
  NormBackward(NormOf(l, c, true),
               {from.sum2, /*with_y=*/true, w.norm2_weight + norm, from.statistics2, m.grad_y, /*grad_shared=*/false,
                nullptr, attended, deltas[kSecond], m.norm2_parts},
               0, parts);
  InputGradient(l, w, c, kSecond, deltas[kSecond], nullptr, deltas[kFirst], /*add=*/false);
  InputGradient(l, w, c, kFirst, deltas[kFirst], from.slope, attended, /*add=*/true);
  NormBackward(NormOf(l, c, false),
               {from.sum1, /*with_y=*/true, w.norm1_weight + norm, from.statistics1, attended, /*grad_shared=*/false,
                nullptr, m.grad_x, deltas[kProjection], m.norm1_parts, m.add},
               0, parts);
  InputGradient(l, w, c, kProjection, deltas[kProjection], nullptr, mixed, /*add=*/false);
  AttentionBackward(AttentionOf(l, c), {from.qkv, m.keep}, from.sums, mixed, deltas[kJoined], 0,
                    c.samples * l.options.heads);
  if (m.want_x) InputGradient(l, w, c, kJoined, deltas[kJoined], nullptr, m.grad_x, /*add=*/true);
}

}  // namespace lanthorn::kernels
