// When a training is saved, and what happens when the disk refuses. The trainer calls it at step boundaries.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/options/option_row.h"
#include "engine/base/status.h"
#include "engine/run/checkpoint_store.h"
#include "engine/run/run_directory.h"

namespace lanthorn::train {

struct CheckpointOptions {
  int64_t every_steps = 0;  // updates; 0: not by number
  double every_s = 600;     // seconds; 0: not by time
  int64_t every_epochs = 1;
  Retention retention = {};
  // Saves at epochs' ends wait while saving has cost more than this share of the time; one of the best epoch is kept in
  // memory until then. Saves by step or time do not wait.
  double most_share = 0.01;
  std::function<void(const std::string&)> warn = [](const std::string&) {};  // a save that failed
};

template <typename Visit>
void Fields(Visit&& visit, CheckpointOptions& options) {
  visit({"every_steps", "updates from one save to the next; 0: not by number", 0}, options.every_steps);
  visit({"every_s", "seconds; 0: not by time", 0}, options.every_s);
  visit({"every_epochs", "epochs; 0: not by them", 0}, options.every_epochs);
  visit({"keep_last", "so many of the newest stay, beside the best", 1}, options.retention.last);
  visit({"keep_every", "checkpoints whose step this divides stay too; 0: none", 0}, options.retention.every);
}

class Checkpointer {
 public:
  using SnapshotFn = std::function<absl::StatusOr<CheckpointContent>()>;
  using ClockFn = std::function<double()>;  // seconds

  // `snapshot` gives the training as it is at the call. Leftovers of dead processes are removed.
  Checkpointer(std::shared_ptr<RunDirectory> run, CheckpointOptions options, SnapshotFn snapshot, ClockFn clock);

  // After update number `step`, within an epoch: whether a save is due.
  bool IsDue(int64_t step) const;
  // Saves now. The errors of the disk are events; the third in a row is a MachineError.
  absl::Status Save(int64_t step);
  // At the end of an epoch, `best` when no other was better.
  absl::Status AtEpochEnd(int64_t epoch, int64_t step, bool best);
  // At the end of a training: what was kept in memory, and the end, unless it is saved already. `best` when the best
  // epoch ended here.
  absl::Status AtEnd(int64_t step, bool best);

  // Writes what was kept in memory, so that it is the newest checkpoint if it is newer than those on the disk.
  absl::Status WriteHeld();
  // After the training went back to update `step`: later checkpoints are set aside, and this one is written anew.
  absl::Status SaveAnew(int64_t step);

  const CheckpointStore& store() const { return store_; }
  // Seconds spent on saving so far.
  double seconds() const { return seconds_; }

 private:
  enum class Outcome { kSaved, kFailed };
  absl::StatusOr<CheckpointContent> TakeSnapshot();
  absl::Status Write(const CheckpointContent& content, bool best);
  absl::StatusOr<Outcome> TryWrite(const CheckpointContent& content, bool best);
  // Makes room for a checkpoint of this size; a reason when there is none.
  std::optional<std::string> RoomProblem(int64_t bytes);

  std::shared_ptr<RunDirectory> run_;
  const CheckpointOptions options_;
  SnapshotFn snapshot_;
  ClockFn clock_;
  CheckpointStore store_;
  const double begin_;
  double last_save_, seconds_ = 0, snapshot_seconds_ = 0;
  int64_t last_step_ = -1, failures_ = 0;
  std::optional<CheckpointContent> best_;  // kept in memory
};

}  // namespace lanthorn::train
