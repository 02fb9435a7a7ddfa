// A training of which some updates are predicted in place of computed: what the loop asks before and after each step.
//
//   warmup, full   real updates
//   predict        no forward and no backward; the weights move by the arm's guess (predictor.h), all of a block at its
//                  first step. The published arm, noop, runs forward and changes nothing.
//   correct        first the loss of a fixed probe batch, in eval mode: accepted when finite, at most probe_worse times
//                  the last one after a full block and not probe_sigma deviations above the mean of the last 32; else
//                  the weights before the block come back, bit for bit. Then real updates (noop: forward alone).
//
// Steps that are predicted count as steps: batches and the schedule go on, no target is learnt from.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/files/safetensors.h"
#include "engine/train/hybrid/divergence_monitor.h"
#include "engine/train/hybrid/hybrid_step.h"
#include "engine/train/hybrid/loss_forecaster.h"
#include "engine/train/hybrid/phase_controller.h"
#include "engine/train/hybrid/predictor.h"

namespace lanthorn::train {

class Hybrid {
 public:
  static constexpr size_t kProbes = 32;

  // `probe`: the mean loss of the probe batch without gradient, in eval mode.
  static absl::StatusOr<std::unique_ptr<Hybrid>> Make(const HybridOptions& options,
                                                      const std::vector<nn::NamedParameter>& parameters,
                                                      std::shared_ptr<optim::Optimizer> optimizer,
                                                      std::function<absl::StatusOr<double>()> probe);

  // Of the next step: whether it has a backward; without one whether it runs forward all the same.
  bool backward() const;
  bool forward_alone() const { return !backward() && options_.arm == "noop"; }
  HybridPhase phase() const { return controller_.phase(); }

  // Before a step: predicts a block, or judges the one before. `left`: steps that the training has left, this one
  // included.
  absl::Status Before(int64_t left, HybridStep* step);
  // After a step with its loss and gradient norm, where it had them. NumericsError after too many critical alarms.
  absl::Status After(std::optional<double> loss, std::optional<double> gradient_norm, HybridStep* step);

  // Blocks that were predicted, and those of them that were rejected; steps of each phase.
  struct Counts {
    int64_t blocks = 0, rejected = 0, restored = 0;
    std::array<int64_t, 4> steps{};
    std::optional<LossForecaster::Errors> forecast;
  };
  Counts counts() const;

  NamedTensors Tensors() const;
  nlohmann::json State() const;
  absl::Status Load(const NamedTensors& tensors, const nlohmann::json& state);

 private:
  Hybrid(const HybridOptions& options, const std::vector<nn::NamedParameter>& parameters,
         std::shared_ptr<optim::Optimizer> optimizer, std::function<absl::StatusOr<double>()> probe);
  bool Accepts(double loss) const;
  DivergenceMonitor::Finding Observe(double loss, std::optional<double> gradient_norm, HybridStep* step);

  HybridOptions options_;
  PhaseController controller_;
  DivergenceMonitor monitor_;
  std::optional<LossForecaster> forecaster_;
  std::shared_ptr<optim::Optimizer> optimizer_;
  Predictor predictor_;
  std::function<absl::StatusOr<double>()> probe_;
  std::deque<double> probes_;  // after full blocks
  int64_t blocks_ = 0, rejected_ = 0, restored_ = 0;
};

}  // namespace lanthorn::train
