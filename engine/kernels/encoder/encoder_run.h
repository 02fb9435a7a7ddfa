// Encoder blocks over tensors: all nodes, the samples shared out over LibTorch's threads, without autograd.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

#include "engine/kernels/attention/attention_keys.h"
#include "engine/kernels/encoder/encoder_sweep.h"

namespace lanthorn::kernels {

// The parameters of the block's linear layers.
inline constexpr std::array<EncoderParameter, kEncoderLinears> kEncoderWeights = {kInWeight, kOutWeight, kWeight1,
                                                                                  kWeight2};
inline constexpr std::array<EncoderParameter, kEncoderLinears> kEncoderBiases = {kInBias, kOutBias, kBias1, kBias2};

// Those of its norms: the weight, behind which its bias comes.
inline constexpr std::array<EncoderParameter, 2> kEncoderNorms = {kNorm1Weight, kNorm2Weight};

// What forward and backward are about. x as the layout says; float32, contiguous, on the CPU.
struct EncoderInputs {
  EncoderLayout layout;
  at::Tensor x;
  AttentionKeyTensors keys;
  EncoderParameters parameters;
};

// In the order of EncoderActivations.
enum EncoderActivation {
  kQkv,
  kSoftmaxSums,
  kMixed,
  kAttended,
  kStatistics1,
  kNormed1,
  kWide,
  kHidden,
  kSlope,
  kFed,
  kStatistics2,
  kNormed2,
  kEncoderActivations
};
using EncoderTensors = std::array<at::Tensor, kEncoderActivations>;  // (rows, ...) each; undefined where there is none

// The blocks' output. `saved`: null, or where to leave what the backward needs.
at::Tensor RunEncoderForward(const EncoderInputs& inputs, EncoderTensors* saved);

// The gradients of the linear layers' outputs, (nodes * rows, out) each; of linear1 before its activation.
using EncoderDeltaTensors = std::array<at::Tensor, kEncoderLinears>;

struct EncoderGradients {
  at::Tensor x;
  EncoderParameters parameters;                     // undefined where not wanted
  std::array<at::Tensor, kEncoderLinears> squares;  // (2, N) of weight and bias for each sample, float64; if wanted
  std::array<at::Tensor, 2> norms;                  // (nodes, N, 2, d): the samples' of weight and bias; or undefined
  at::Tensor tables;                                // (N, 2, R): the samples' of the relations' tables; if wanted
};
struct EncoderWanted {
  bool x = true;
  std::array<bool, kEncoderParameters> parameters = {};
  bool squares = false, tables = false;
};
// grad_y: of the blocks' output; with options.mean, of the sum of all nodes' outputs.
EncoderGradients RunEncoderBackward(const EncoderInputs& inputs, const EncoderTensors& saved, const at::Tensor& grad_y,
                                    const EncoderWanted& wanted);
// The same backward for what it passes by.
EncoderDeltaTensors EncoderDeltasOf(const EncoderInputs& inputs, const EncoderTensors& saved, const at::Tensor& grad_y);

}  // namespace lanthorn::kernels
