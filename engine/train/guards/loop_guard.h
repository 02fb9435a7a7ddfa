// A guard that looks at every update of a training. One file has it whole: the class, and its RegisterLoopGuard.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/status.h"
#include "engine/optim/optimizer.h"
#include "engine/train/guards/guard_options.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

// The training that a guard is made for.
struct LoopGuardContext {
  const GuardOptions& options;
  const std::vector<nn::NamedParameter>& parameters;
  optim::Optimizer& optimizer;
  int64_t step, planned;  // updates made so far, and those of the whole training
};

class LoopGuard {
 public:
  // What follows from a finding; nothing does more than the guard's level allows.
  enum class Does {
    kStop,          // ends the training, or warns at level warn
    kWarn,          // warns
    kSaveAndLeave,  // at level error the training is saved and left (exit code 7), or warns
  };
  struct Finding {
    Warning warning;
    Does does = Does::kStop;
  };

  virtual ~LoopGuard() = default;
  // Before update number `step` (1-based).
  virtual void BeforeUpdate(int64_t step) {}
  // After each update, before the observers hear of it; skipped ones too, but for those without a target.
  virtual std::optional<Finding> AfterUpdate(const StepRecord& record) = 0;
  // At the end of a training.
  virtual std::optional<Finding> AtEnd(int64_t step) { return std::nullopt; }
};

struct LoopGuardSpec {
  const char* id;    // "G36"; guards are asked in this order
  const char* name;  // of guards.<name>=error|warn|off, where scripts/guards/registry.lua has such a key
  GuardLevel level;  // unless GuardOptions::levels says otherwise
  ExitCode code;     // when it stops a training
  // nullptr where there is nothing to look at.
  std::function<std::unique_ptr<LoopGuard>(const LoopGuardContext&)> make;
};

// All loop guards, by id.
std::vector<LoopGuardSpec>& LoopGuards();

struct RegisterLoopGuard {
  explicit RegisterLoopGuard(LoopGuardSpec spec);
};

}  // namespace lanthorn::train
