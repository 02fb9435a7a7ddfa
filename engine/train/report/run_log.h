// Writes what the loop reports into a run directory: metrics.jsonl and status.json.
#pragma once

#include <memory>

#include "engine/run/run_directory.h"
#include "engine/train/report/memory_fields.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

class RunLog final : public Observer {
 public:
  // `sample_squares`: T-Score's squared norm of each sample goes into the lines.
  explicit RunLog(std::shared_ptr<RunDirectory> run, bool sample_squares = false, MemoryProbe memory = {})
      : run_(std::move(run)), sample_squares_(sample_squares), memory_(std::move(memory)) {}

  absl::Status OnStep(const StepRecord& record, Control* control) override;
  absl::Status OnEval(const EvalRecord& record, int64_t step) override;
  absl::Status OnEpoch(const EpochRecord& record, Control* control) override;
  absl::Status OnRollback(const Rollback& rollback) override;
  void OnPhase(const std::string& phase) override;
  void OnSignal(int signal, int64_t step) override;

 private:
  std::shared_ptr<RunDirectory> run_;
  bool sample_squares_;
  MemoryProbe memory_;
};

}  // namespace lanthorn::train
