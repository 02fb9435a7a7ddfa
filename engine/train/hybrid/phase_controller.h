// Which kind of step comes next in a training that predicts some of its updates: warm-up, full blocks, predicted
// blocks, corrections. Pure: it is told what happened and counts.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/base/status.h"
#include "engine/train/hybrid/hybrid_options.h"
#include "engine/train/hybrid/hybrid_step.h"

namespace lanthorn::train {

// What the monitor says of a step (divergence_monitor.h), in the order of its gravity.
enum class Alarm { kNone, kCaution, kWarning, kCritical };

class PhaseController {
 public:
  static constexpr int64_t kCriticals = 3, kWithin = 100;  // so many within so many steps end the training

  // ConfigError where a value means nothing: warmup_steps or full_steps of 0, a threshold outside of (0, 1).
  static absl::Status Check(const HybridOptions& options);
  explicit PhaseController(const HybridOptions& options);

  // Of the next step.
  HybridPhase phase() const { return phase_; }
  // The step begins its block; steps that the block has.
  bool begins() const { return done_ == 0; }
  int64_t length() const { return length_; }
  double confidence() const { return confidence_; }
  // Blocks predicted since the last full one.
  int64_t consecutive() const { return consecutive_; }

  // The step of this phase is done. Ends its block where that was its last, and chooses the next.
  void Advance();
  // A predicted block was tried: before its correction begins. A rejected one is followed by a full block.
  void Judge(bool accepted);
  // After a warning or a critical alarm a full block of twice the length begins at once, and another one follows it
  // before anything is predicted. True when critical ones are so many that the training ends.
  bool Raise(Alarm alarm);

  // Steps of each phase so far, in their order.
  const std::array<int64_t, 4>& counts() const { return counts_; }

  nlohmann::json State() const;
  void Load(const nlohmann::json& state);

 private:
  void Begin(HybridPhase phase, int64_t length);
  void Choose();

  HybridOptions options_;
  HybridPhase phase_ = HybridPhase::kWarmup;
  int64_t length_, done_ = 0, consecutive_ = 0, steps_ = 0;
  double confidence_;
  bool rejected_ = false;
  std::vector<int64_t> criticals_;  // steps at which they were
  std::array<int64_t, 4> counts_{};
};

}  // namespace lanthorn::train
