// Per-sample gradients of the parametric operations (kernels/README.md): what each reports to an open recorder.
//
// Every Sample* function watches the output of an operation: when the backward reaches it, the delta E of the output
// together with the input A gives each sample's gradient. They do nothing when no recorder is open or the output needs
// no gradient. Dimension 0 of the input is the sample; any further dimensions are positions.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <initializer_list>

#include "engine/tscore/recorder.h"

namespace lanthorn::tscore {

// The open recorder, where the output needs a gradient and one of the parameters (they may be undefined) is trained.
Recorder::Ptr Watching(const at::Tensor& y, std::initializer_list<at::Tensor> parameters);
// Whether it is there and trained.
bool Trained(const at::Tensor& parameter);

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

// y = normalized * weight + bias in each channel, dimension 1: y and normalized (N, C, ...), weight and bias (C), or
// (1) for all channels together.
void SampleChannels(const at::Tensor& y, const at::Tensor& normalized, const at::Tensor& weight, const at::Tensor& bias,
                    const char* layer);

// y[..., o] = x1[..., i] W[o, i, j] x2[..., j] + b[o]; weight (out, in1, in2).
void SampleBilinear(const at::Tensor& y, const at::Tensor& x1, const at::Tensor& x2, const at::Tensor& weight,
                    const at::Tensor& bias, const char* layer);

// y[i] = sum over k of share[i, k] weight[ids[i, k]]: bags of ids; ids and share (N, K), a share of 0 leaves an id out.
void SampleBags(const at::Tensor& y, const at::Tensor& ids, const at::Tensor& share, const at::Tensor& weight,
                const char* layer);
// y[i, c] = weight[rows[i, c], c], where taken[i]; rows (N, C), taken (N) bool.
void SampleMaxBags(const at::Tensor& y, const at::Tensor& rows, const at::Tensor& taken, const at::Tensor& weight,
                   const char* layer);

// y[i, t] = x[i, t] + weight[t]; y (N, T, C), T at most the rows of weight.
void SamplePositions(const at::Tensor& y, const at::Tensor& weight, const char* layer);

// The same for n nodes: weight and bias (n, C); y and normalized (n, N, K, C), normalized also (N, K, C) for all.
void SampleStackedScale(const at::Tensor& y, const at::Tensor& normalized, const at::Tensor& weight,
                        const at::Tensor& bias, const char* layer);

// The same reports for layers that run their own backward and may know the squares already (undefined: not known).
std::unique_ptr<Use> LinearUse(const at::Tensor& input, const at::Tensor& delta, at::Tensor squares = {});
// The gradient of a sample is its part of delta, summed to the shape of the last `bias_dims` dimensions.
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
