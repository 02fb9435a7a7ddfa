// Options of a training that the loop itself reads, by section of a config (see base/options/option_row.h). Nothing
// here needs LibTorch: the runner has it too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/options/option_row.h"
#include "engine/optim/schedule.h"

namespace lanthorn::train {

struct TrainSection {
  int64_t epochs = 1;
  // The loss of an update is the mean over all targets of its batches, so that k micro-batches of B rows are one batch
  // of k B. The last update of an epoch takes the batches that are left, and its mean is over those.
  int64_t accumulate = 1;
  int64_t max_steps = 0;
  bool recompute = false;
  std::string precision = "fp32";
  bool emulate = false;

  // Updates of a whole epoch of so many batches, and of the training.
  int64_t EpochUpdates(int64_t batches) const { return (batches + accumulate - 1) / accumulate; }
  int64_t Updates(int64_t batches) const {
    const int64_t all = epochs * EpochUpdates(batches);
    return max_steps > 0 ? std::min(all, max_steps) : all;
  }
};

template <typename Visit>
void Fields(Visit&& visit, TrainSection& train) {
  visit({"epochs", "how often the training data are gone through", 1}, train.epochs);
  visit({"accumulate", "batches per update: k of data.batch rows are one batch of k * data.batch", 1},
        train.accumulate);
  visit({"max_steps", "updates at most; 0: no limit", 0}, train.max_steps);
  visit(
      {"recompute",
       "activation checkpointing: transformer blocks keep their input alone, and the backward computes the rest again"},
      train.recompute);
  visit({"precision",
         "what GRU, LSTM and transformer blocks multiply in, in training and in eval: fp32, bf16, or for GRU and LSTM "
         "fp32_split, each operand as two bf16 "
         "numbers",
         {},
         {"fp32", "fp32_split", "bf16"}},
        train.precision);
  visit({"emulate", "the rounding of a lower precision on any CPU, without its speed"}, train.emulate);
}

struct TScoreSection {
  int64_t every = 0;
  std::string mode = "exact", compat = "none";
  bool samples = false;
  std::string groups = "none";

  bool loop() const { return mode == "loop"; }
  bool v11() const { return compat == "v1.1"; }
};

template <typename Visit>
void Fields(Visit&& visit, TScoreSection& tscore) {
  visit({"every", "updates from one T-Score to the next; 0: never", 0}, tscore.every);
  visit({"mode", "exact: from the backward that trains; loop: by a backward for each sample", {}, {"exact", "loop"}},
        tscore.mode);
  visit({"compat", "v1.1: the published formula", {}, {"none", "v1.1"}}, tscore.compat);
  visit({"samples", "the squared gradient norm of every sample in metrics.jsonl"}, tscore.samples);
  visit({"groups", "T of each child of the model, or of each parameter", {}, {"none", "module", "parameter"}},
        tscore.groups);
}

struct EvalSection {
  bool off = false;
  int64_t val_cap = 0;
  std::vector<std::string> metrics = {};
};

template <typename Visit>
void Fields(Visit&& visit, EvalSection& eval) {
  visit({"off", "no eval"}, eval.off);
  visit({"val_cap", "batches of val at most; 0: all of it", 0}, eval.val_cap);
  visit({"metrics", "beside the loss: accuracy, top5, perplexity, binary_accuracy, mae, mse, rmse, r2"}, eval.metrics);
}

// Limits on gradients: 0 is off. clip_value and clip_each limit the gradients themselves. clip_norm is a factor that
// the optimiser applies while it reads: the gradients that observers see after a step are those before it.
struct ClipSection {
  double clip_norm = 0, clip_value = 0, clip_each = 0;
};

template <typename Visit>
void Fields(Visit&& visit, ClipSection& clip) {
  visit({"clip_norm", "norm of all gradients at most; 0: off", 0}, clip.clip_norm);
  visit({"clip_value", "size of an element of a gradient at most; 0: off", 0}, clip.clip_value);
  visit({"clip_each", "norm of each parameter's gradient at most; 0: off", 0}, clip.clip_each);
}

// What the loop reads of the section `optim`.
struct OptimSection {
  ClipSection& clip;
  optim::Schedule& schedule;
};

template <typename Visit>
void Fields(Visit&& visit, OptimSection& section) {
  Fields(visit, section.clip);
  Fields(visit, section.schedule);
}

// Calls visit(section of the config, its options) for each.
template <typename Visit>
void Sections(Visit&& visit, TrainSection& train, TScoreSection& tscore, EvalSection& eval, OptimSection optim) {
  visit("train", train);
  visit("tscore", tscore);
  visit("eval", eval);
  visit("optim", optim);
}

}  // namespace lanthorn::train
