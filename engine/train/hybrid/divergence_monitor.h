// Whether a training that predicts updates goes astray: moving means of loss and gradient norm, and what is far above
// them. A loss that falls is not a warning, one that turns at nearly every step is a warning and never more, and the
// mean of a few values is that of those few: as published, the first value stands for hundreds, and a variance of its
// square hides what comes after.
#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/train/hybrid/hybrid_options.h"
#include "engine/train/hybrid/phase_controller.h"

namespace lanthorn::train {

class DivergenceMonitor {
 public:
  static constexpr int64_t kFirst = 10;        // observations before any verdict
  static constexpr size_t kDifferences = 100;  // of the loss, whose signs are counted
  static constexpr int64_t kInARow = 3;        // warnings that are critical

  explicit DivergenceMonitor(const HybridOptions& options) : options_(options) {}

  struct Finding {
    Alarm alarm = Alarm::kNone;
    std::string reason;
  };
  // The loss of a step, and its gradient norm; without one (a step that had no backward) nothing is said of gradients.
  // `forecast`: what the loss was expected to be.
  Finding Observe(double loss, std::optional<double> gradient_norm, std::optional<double> forecast = {});
  // The norm of now is the base of what follows: at the end of the warm-up.
  void SetBase() { base_ = norm_.mean; }

  nlohmann::json State() const;
  void Load(const nlohmann::json& state);

 private:
  // Exponentially weighted; of `published` the first value has the weight of all before it.
  struct Mean {
    int64_t count = 0;
    double weight = 0, mean = 0, variance = 0;
    void Add(double x, double decay, bool published);
  };

  HybridOptions options_;
  Mean loss_, norm_;
  double base_ = 0;
  std::deque<double> recent_;  // losses
  int64_t warnings_ = 0;       // in a row
};

}  // namespace lanthorn::train
