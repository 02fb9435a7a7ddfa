// Writes what the loop reports into a run directory: metrics.jsonl and status.json.
#pragma once

#include <memory>

#include "engine/run/run_directory.h"
#include "engine/train/records.h"

namespace lanthorn::train {

class RunLog final : public Observer {
 public:
  explicit RunLog(std::shared_ptr<RunDirectory> run) : run_(std::move(run)) {}

  absl::Status OnStep(const StepRecord& record, Control* control) override;
  absl::Status OnEval(const EvalRecord& record, int64_t step) override;
  absl::Status OnEpoch(const EpochRecord& record, Control* control) override;
  void OnPhase(const std::string& phase) override;

 private:
  std::shared_ptr<RunDirectory> run_;
};

}  // namespace lanthorn::train
