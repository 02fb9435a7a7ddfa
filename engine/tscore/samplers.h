// Per-sample gradients of the parametric operations (kernels.md section 2): what each reports to an open recorder.
//
// Every Sample* function watches the output of an operation: when the backward reaches it, the delta E of the output
// together with the input A gives each sample's gradient. They do nothing when no recorder is open or the output needs
// no gradient. Dimension 0 of the input is the sample; any further dimensions are positions.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "engine/tscore/recorder.h"

namespace lanthorn::tscore {

// y = x W^T + b; x (N, ..., in), y (N, ..., out). An undefined bias is skipped.
void SampleLinear(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const char* layer);

// The same for n nodes: weight (n, out, in), bias (n, out); x (N, K, in) for all of them or (n, N, K, in), y (n, N, K,
// out).
void SampleStackedLinear(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         const char* layer);

// y = weight[ids]; ids (N, ...), y (N, ..., C). Rows at `padding_idx` get no gradient; -1 for none.
void SampleEmbedding(const at::Tensor& y, const at::Tensor& ids, const at::Tensor& weight, int64_t padding_idx,
                     const char* layer);

// y = normalized * weight + bias over the last dimensions; weight and bias may be undefined.
void SampleScale(const at::Tensor& y, const at::Tensor& normalized, const at::Tensor& weight, const at::Tensor& bias,
                 const char* layer);

// y[i, t] = x[i, t] + weight[t]; y (N, T, C), T at most the rows of weight.
void SamplePositions(const at::Tensor& y, const at::Tensor& weight, const char* layer);

// The same for n nodes: weight and bias (n, C); y and normalized (n, N, K, C), normalized also (N, K, C) for all.
void SampleStackedScale(const at::Tensor& y, const at::Tensor& normalized, const at::Tensor& weight,
                        const at::Tensor& bias, const char* layer);

// The same reports for layers that run their own backward and may know the squares already (undefined: not known).
std::unique_ptr<Use> LinearUse(const at::Tensor& input, const at::Tensor& delta, at::Tensor squares = {});
std::unique_ptr<Use> BiasUse(const at::Tensor& delta, int64_t bias_dims, at::Tensor squares = {});
// Of n nodes; delta (n, N, K, out), input as in SampleStackedLinear.
std::unique_ptr<Use> StackedLinearUse(const at::Tensor& input, const at::Tensor& delta);
// delta (n, N, ..., out)
std::unique_ptr<Use> StackedBiasUse(const at::Tensor& delta);
// A use whose squares are known, and which is unpacked only if someone asks for more.
std::unique_ptr<Use> LazyUse(at::Tensor squares, std::function<std::unique_ptr<Use>()> unpack);
std::unique_ptr<Use> EmbeddingUse(const at::Tensor& ids, const at::Tensor& delta, int64_t vocabulary,
                                  int64_t padding_idx = -1);

}  // namespace lanthorn::tscore
