// The guards that look at every update, in one place: the trainer tells it what an update did, it warns or stops as
// their levels say.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/train/guards/loop_guard.h"

namespace lanthorn::train {

class StepGuards {
 public:
  using WarnFn = std::function<absl::Status(const Warning&)>;

  StepGuards(const LoopGuardContext& context, WarnFn warn);

  // Before update number `step` (1-based).
  void BeforeUpdate(int64_t step);
  // After each update. The status of the first guard that stops.
  absl::Status AfterUpdate(const StepRecord& record);
  // At the end of a training.
  absl::Status Finish(int64_t step);
  // Why the training is to be saved and left (exit code 7). Empty: it goes on.
  const std::string& limit() const { return limit_; }

 private:
  struct Active {
    const LoopGuardSpec* spec;
    GuardLevel level;
    std::unique_ptr<LoopGuard> guard;
  };
  absl::Status Act(const Active& active, const std::optional<LoopGuard::Finding>& found);

  WarnFn warn_;
  std::vector<Active> guards_;
  std::string limit_;
};

}  // namespace lanthorn::train
