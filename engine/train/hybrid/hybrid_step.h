// One step of a training that predicts some of its updates, as its record has it.
#pragma once

#include <array>
#include <optional>
#include <string>

namespace lanthorn::train {

enum class HybridPhase { kWarmup, kFull, kPredict, kCorrect };
inline constexpr std::array<const char*, 4> kHybridPhaseNames = {"warmup", "full", "predict", "correct"};

struct HybridStep {
  HybridPhase phase = HybridPhase::kWarmup;
  double confidence = 0;
  std::optional<bool> accepted;      // of a correction's first step: whether the block before it was
  std::optional<double> probe_loss;  // there, and at the end of a full block
  std::optional<double> delta_norm;  // of a predicted block's first step: how far the weights went
  std::optional<double> forecast;    // of the loss, with the option of that name
  std::string alarm;                 // what the monitor found; mostly empty
};

}  // namespace lanthorn::train
