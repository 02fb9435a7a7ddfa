// Sampling from a language model, one token at a time, with the recurrent state carried.
#pragma once

#include <ATen/core/Generator.h>

#include <functional>

#include "engine/nn/module.h"

namespace lanthorn::train {

struct SampleOptions {
  int64_t length = 200;     // tokens to draw
  double temperature = 1;   // 0 takes the most likely token
  int64_t top_k = 0;        // only the k most likely; 0: all
  double top_p = 1;         // only the most likely that together reach this share
  at::Generator generator;  // an own stream: sampling must not shift training's
};

// One step of a model: ids (1, T) and the state to logits (1, T, V).
using StepFn = std::function<absl::StatusOr<at::Tensor>(const at::Tensor& ids, nn::State* state)>;

// Runs `prompt` (int64, 1-d, not empty) once, then feeds each drawn token once; returns the drawn ids (length). A
// stateless model sees only the last token, so give it a step function that keeps its own context.
absl::StatusOr<at::Tensor> Generate(const StepFn& step, const at::Tensor& prompt, const SampleOptions& options);

}  // namespace lanthorn::train
