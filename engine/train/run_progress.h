// Tells a run's .progress what the loop does, for the watchdog.
#pragma once

#include <memory>

#include "engine/run/progress_file.h"
#include "engine/train/records.h"

namespace lanthorn::train {

// The first of the observers: callbacks of a step belong to the time of the next one.
class RunProgress final : public Observer {
 public:
  explicit RunProgress(std::unique_ptr<ProgressFile> file) : file_(std::move(file)) {}
  ~RunProgress() override { file_->Enter(ProgressFile::Phase::kDone); }

  absl::Status OnStep(const StepRecord& record, Control*) override {
    file_->Step(record.step);
    return absl::OkStatus();
  }
  void OnPart(int64_t done, int64_t of) override { file_->Part(done, of); }
  void OnPhase(const std::string& phase) override { file_->Enter(ProgressFile::PhaseOf(phase)); }
  void Tick() { file_->Tick(); }

 private:
  std::unique_ptr<ProgressFile> file_;
};

}  // namespace lanthorn::train
