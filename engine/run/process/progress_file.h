// .progress: a small file in the run directory, mapped into memory, that says what the process does and when it last
// got on with it. The watchdog reads it; writing costs a few stores, no system call. Its layout is in README.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/status.h"

namespace lanthorn {

// What a process says of itself.
struct ProgressState {
  int64_t pid = 0, counter = 0, step = 0, done = 0, of = 0, steps = 0;
  std::string phase;
  double time_s = 0;  // of the last progress, by the machine's monotonic clock
  double slowest_step_s = 0, slowest_eval_s = 0, slowest_save_s = 0;
};

// Reads the file of another process. DataError when it is not there or not whole.
absl::StatusOr<ProgressState> ReadProgress(const std::string& path);

class ProgressFile {
  friend absl::StatusOr<ProgressState> ReadProgress(const std::string& path);

 public:
  // The phases of status.json, and what a run is when nothing more is expected of it.
  enum class Phase : uint64_t { kLoad, kBuild, kTrain, kEval, kSave, kReport, kDone };
  // kDone for any other name.
  static Phase PhaseOf(const std::string& name);

  // Makes the file anew, in phase load. MachineError when the place cannot be written or mapped.
  static absl::StatusOr<std::unique_ptr<ProgressFile>> Create(const std::string& path);
  ~ProgressFile();
  ProgressFile(const ProgressFile&) = delete;
  ProgressFile& operator=(const ProgressFile&) = delete;

  // Each of these is progress: it raises the counter and notes the time. From one thread at a time.
  void Enter(Phase phase);
  void Step(int64_t step);              // completed updates
  void Part(int64_t done, int64_t of);  // such as batches of an eval
  void Tick();                          // something else that shows life

 private:
  // Words of the file, 8 bytes each.
  enum Word {
    kMagic,
    kPid,
    kCounter,
    kPhase,
    kStep,
    kDoneParts,
    kParts,
    kTime,
    kSlowestStep,
    kSlowestEval,
    kSlowestSave,
    kSteps,
    kWords
  };
  static constexpr size_t kWindow = 50;  // steps of which the longest time without progress counts

  explicit ProgressFile(uint64_t* words);
  void Set(Word word, uint64_t value);
  // Ends the time since the last progress and gives it to its phase.
  void Advance(bool is_step);
  void Count();

  uint64_t* words_;
  Phase phase_ = Phase::kLoad;
  uint64_t counter_ = 0, steps_ = 0, time_, longest_gap_ = 0, slowest_eval_ = 0, slowest_save_ = 0;
  std::array<uint64_t, kWindow> window_{};
};

}  // namespace lanthorn
