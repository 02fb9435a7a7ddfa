// Text drawn from a language model, one token at a time, for one prompt or several side by side.
//
// A recurrent model carries its state. One without a state that can be decoded (nn/decoding.h) keeps what attention
// needs of the positions before and reads one position at a time; any other reads all before at each token. Where the
// model takes so many positions at most, it reads the last of them anew at each token beyond.
#pragma once

#include <ATen/core/Generator.h>

#include <functional>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::train {

struct SampleOptions {
  int64_t length = 200;    // tokens to draw
  double temperature = 1;  // 0 takes the most likely token
  int64_t top_k = 0;       // only the k most likely; 0: all
  double top_p = 1;        // only the most likely that together reach this share, at least one; equal ones by id
  int64_t stop = -1;       // a text ends before this token
  int64_t most = 0;        // tokens of prompt and text together; 0: any number
  bool cache = true;       // false: all before is read at each token
};

struct LanguageModel {
  // ids (B, T) and the state to logits (B, T, V). A model without a state leaves it empty.
  std::function<absl::StatusOr<at::Tensor>(const at::Tensor& ids, nn::State* state)> forward;
  int64_t max_length = 0;  // positions that a forward takes; 0: any number
  bool decodes = false;
};

// The ids drawn after each prompt (int64, 1-d, not empty), without the stop. Each text has a generator of its own, so
// that it is the same beside others as by itself, and sampling does not shift training's numbers. ConfigError for
// options that mean nothing and for a prompt longer than the model takes.
absl::StatusOr<std::vector<at::Tensor>> Generate(const LanguageModel& model, const std::vector<at::Tensor>& prompts,
                                                 const std::vector<at::Generator>& generators,
                                                 const SampleOptions& options);

}  // namespace lanthorn::train
