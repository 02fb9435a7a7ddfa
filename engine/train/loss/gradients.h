// What an update learns from: the gradients of its batches' mean loss, and their T-Score.
#pragma once

#include <optional>
#include <vector>

#include "engine/data/batches.h"
#include "engine/nn/module.h"
#include "engine/train/loss/loss.h"
#include "engine/train/report/records.h"
#include "engine/tscore/groups.h"
#include "engine/tscore/tally.h"

namespace lanthorn::train {

struct GradientOptions {
  c10::Device device = c10::Device(c10::DeviceType::CPU);
  tscore::Grouping groups = tscore::Grouping::kNone;
  bool loop = false;  // T-Score by a backward for each sample, else from the backward that trains
  bool v11 = false;   // T-Score by the published formula
  bool recompute = false;
};

// What a forward and backward over the batches of an update came to.
struct GradientPass {
  double value = 0;  // the mean over all targets; NaN when there is none
  int64_t targets = 0;
  int64_t empty = 0;  // batches without a target: they have neither a loss nor a gradient
  TermValues terms;
  std::optional<tscore::Score> score;
  bool penalized = false;  // the gradients have more in them than those of the data
};

class Gradients {
 public:
  enum class TScore { kOff, kOn, kVerified };  // verified: a parameter that no layer reports is an error

  Gradients(std::shared_ptr<nn::Module> model, LossFn loss, const GradientOptions& options)
      : model_(std::move(model)), loss_(std::move(loss)), options_(options), parameters_(model_->Parameters()) {}

  // Leaves the gradients of the mean loss over all targets of these batches in the parameters, whose gradients are
  // undefined before.
  absl::StatusOr<GradientPass> Of(const std::vector<data::Batch>& batches, TScore tscore, PhaseSeconds* phases) const;
  // train.recompute, for the passes that follow.
  void set_recompute(bool on) { options_.recompute = on; }

 private:
  struct Weights;
  absl::StatusOr<Loss> CheckedLoss(const data::Batch& batch) const;
  // Adds one batch; `tally` is nullptr where nothing is recorded.
  absl::Status AddBatch(const data::Batch& batch, tscore::Tally* tally, bool verify, PhaseSeconds* phases,
                        Weights* weights, GradientPass* pass) const;
  absl::StatusOr<tscore::Score> LoopScore(const std::vector<data::Batch>& batches) const;

  std::shared_ptr<nn::Module> model_;
  LossFn loss_;
  GradientOptions options_;
  std::vector<nn::NamedParameter> parameters_;
};

}  // namespace lanthorn::train
