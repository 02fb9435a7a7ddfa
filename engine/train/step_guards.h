// The guards that look at every update, in one place: the trainer tells it what an update did, it warns or stops as
// their levels say.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/train/divergence.h"
#include "engine/train/guard_options.h"
#include "engine/train/learning_check.h"
#include "engine/train/protected_check.h"
#include "engine/train/skipped_updates.h"

namespace lanthorn::train {

class StepGuards {
 public:
  using WarnFn = std::function<absl::Status(const Warning&)>;

  // `step`: updates made so far, `planned`: those of the whole training.
  StepGuards(const GuardOptions& options, const std::vector<nn::NamedParameter>& parameters, int64_t step,
             int64_t planned, WarnFn warn);

  // After each update, before the observers hear of it. The status of the first guard that stops.
  absl::Status AfterUpdate(const StepRecord& record);

 private:
  absl::Status Raise(GuardLevel level, const Warning& warning) const;

  const GuardOptions options_;
  const int64_t first_step_;
  WarnFn warn_;
  GradientNormWatch norms_;
  SkippedUpdates skipped_;
  std::optional<LearningCheck> learning_;
  std::optional<ProtectedCheck> protected_;
};

}  // namespace lanthorn::train
