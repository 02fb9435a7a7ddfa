// What attention knows of its keys, beside their values: which of them count, and how they are related to the queries.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/kernels/attention/attention_kernel.h"
#include "engine/kernels/attention/relation_bias.h"

namespace lanthorn::kernels {

// The tensors behind AttentionKeys, of all samples; undefined where there is nothing to know.
struct AttentionKeyTensors {
  at::Tensor keep;       // (B, AttentionColumns(T)): 1 at the keys that count, zeros behind the last
  at::Tensor relations;  // (B, T) int64
  at::Tensor bias_rows;  // (B, R, AttentionColumns(T))

  // padding: (B, T) bool, true at keys that nothing may look at, or undefined. options: of the scores.
  static AttentionKeyTensors Of(const at::Tensor& padding, const RelationBias& bias, const at::TensorOptions& options);
  // As the sweeps read them, from a sample on.
  AttentionKeys From(int64_t sample) const;
  // Zeros for the gradients of bias_rows, of each head: (B heads, R, AttentionColumns(T)).
  at::Tensor MakeGradients(int64_t heads) const;
};

}  // namespace lanthorn::kernels
