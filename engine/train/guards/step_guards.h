// The guards that look at every update, in one place: the trainer tells it what an update did, it warns or stops as
// their levels say.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/optim/select/resting_watch.h"
#include "engine/train/guards/divergence.h"
#include "engine/train/guards/guard_options.h"
#include "engine/train/guards/learning_check.h"
#include "engine/train/guards/memory_growth.h"
#include "engine/train/guards/protected_check.h"
#include "engine/train/guards/skipped_updates.h"
#include "engine/train/guards/slow_steps.h"

namespace lanthorn::train {

class StepGuards {
 public:
  using WarnFn = std::function<absl::Status(const Warning&)>;

  // `step`: updates made so far, `planned`: those of the whole training.
  StepGuards(const GuardOptions& options, const std::vector<nn::NamedParameter>& parameters,
             optim::Optimizer& optimizer, int64_t step, int64_t planned, WarnFn warn);

  // Before update number `step` (1-based).
  void BeforeUpdate(int64_t step) {
    if (resting_) resting_->Look(ProtectedCheck::Looks(step - first_step_));
  }
  // After each update, before the observers hear of it. The status of the first guard that stops.
  absl::Status AfterUpdate(const StepRecord& record);
  // At the end of a training.
  absl::Status Finish(int64_t step);
  // Why the training is to be saved and left (exit code 7): it would run out of memory. Empty: it goes on.
  const std::string& limit() const { return limit_; }

 private:
  absl::Status Raise(GuardLevel level, const Warning& warning, ExitCode code = ExitCode::kNumerics) const;
  absl::Status CheckMemory(const StepRecord& record);

  const GuardOptions options_;
  const std::vector<nn::NamedParameter>& parameters_;
  const optim::Optimizer& optimizer_;
  const int64_t first_step_;
  WarnFn warn_;
  GradientNormWatch norms_;
  SkippedUpdates skipped_;
  std::optional<LearningCheck> learning_;
  std::optional<ProtectedCheck> protected_;
  std::optional<optim::RestingWatch> resting_;
  bool floor_checked_ = false;
  MemoryGrowth growth_;
  SlowSteps slow_;
  std::string limit_;
};

}  // namespace lanthorn::train
