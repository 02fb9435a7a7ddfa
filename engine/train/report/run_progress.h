// Tells a run's .progress what the loop does, for the watchdog.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/run/process/progress_file.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

// The first of the observers: callbacks of a step belong to the time of the next one. While a training runs inside a
// callback of another, what it does is life of the other too.
class RunProgress final : public Observer {
 public:
  explicit RunProgress(std::unique_ptr<ProgressFile> file) : file_(std::move(file)) { open_.push_back(this); }
  ~RunProgress() override {
    open_.erase(std::find(open_.begin(), open_.end(), this));
    file_->Enter(ProgressFile::Phase::kDone);
  }

  absl::Status OnStep(const StepRecord& record, Control*) override {
    file_->Step(record.step);
    TickOthers();
    return absl::OkStatus();
  }
  void OnPart(int64_t done, int64_t of) override {
    file_->Part(done, of);
    TickOthers();
  }
  void OnPhase(const std::string& phase) override {
    file_->Enter(ProgressFile::PhaseOf(phase));
    TickOthers();
  }
  void Tick() {
    file_->Tick();
    TickOthers();
  }

 private:
  void TickOthers() const {
    for (const RunProgress* other : open_) {
      if (other != this) other->file_->Tick();
    }
  }

  static inline std::vector<RunProgress*> open_;
  std::unique_ptr<ProgressFile> file_;
};

}  // namespace lanthorn::train
