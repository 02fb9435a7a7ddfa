// What the training loop tells its observers.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/train/hybrid/hybrid_step.h"
#include "engine/train/loss/loss.h"
#include "engine/train/report/step_timer.h"
#include "engine/tscore/score.h"

namespace lanthorn::train {

// Where the time of a training goes (guards/README.md, Timing). `kOther` is what no other phase of the same span holds.
enum class Phase {
  kData,
  kTransfer,  // of a batch to a device that is not the CPU
  kForward,
  kBackward,
  kTScore,
  kClip,
  kOptimizer,
  kPredict,  // in place of an update, and looking what came of it (hybrid/)
  kGuards,
  kCallbacks,
  kLog,
  kSave,
  kEval,
  kOther,
  kCount
};
inline constexpr std::array<const char*, static_cast<size_t>(Phase::kCount)> kPhaseNames = {
    "data",    "transfer", "forward",   "backward", "tscore", "clip", "optimizer",
    "predict", "guards",   "callbacks", "log",      "save",   "eval", "other"};
using PhaseSeconds = std::array<double, static_cast<size_t>(Phase::kCount)>;

inline double& SecondsOf(PhaseSeconds& phases, Phase phase) { return phases[static_cast<size_t>(phase)]; }
inline double SecondsOf(const PhaseSeconds& phases, Phase phase) { return phases[static_cast<size_t>(phase)]; }

struct StepRecord {
  int64_t step = 0;           // completed updates, this one included
  int64_t steps = 0;          // planned updates
  int64_t epoch = 0;          // 1-based
  int64_t batch = 0;          // 1-based within the epoch, the last one of this update
  int64_t micro_batches = 1;  // batches in this update
  int64_t domain = 0;         // of the first of them
  int64_t batches = 0;        // per epoch
  double loss = 0, lr = 0, grad_norm = 0;
  TermValues terms = {};      // of the loss
  bool skipped = false;       // nothing was changed: a callback or guards.nonfinite=skip:N asked for it
  bool again = false;         // an observer changed the weights, and loss and gradients are those after it
  int64_t skipped_total = 0;  // updates skipped so far
  bool empty = false;         // skipped because no batch of it has a target; then it has no loss
  // A step of a training that predicts some (hybrid/). One without a backward has no gradient norm, and a loss only
  // where it ran forward.
  std::optional<HybridStep> hybrid = {};
  bool backward = true, forward = true;
  int64_t tokens = 0;  // targets that got gradient in this update; 0 when it was skipped
  int64_t tokens_total = 0;
  int64_t tokens_forward_total = 0;  // targets that went through the forward, masked and skipped ones included
  // This update alone: `phases` add up to it. What went by between the record before and the beginning of this update,
  // such as a save, is in `between`; both together are `wall_seconds`, from that record to this one (guard G15).
  double seconds = 0, wall_seconds = 0;
  PhaseSeconds phases{}, between{};
  bool counted = false;  // in the medians: no warm-up, no eval or save before it
  std::optional<tscore::Score> score;
  std::optional<Interval> remaining;
  int64_t samples = 0;                         // rows of its batches
  double tokens_per_s = 0, samples_per_s = 0;  // from the median step
};

// Whether the record has a loss, and a gradient norm.
inline bool HasLoss(const StepRecord& record) { return !record.empty && record.forward; }
inline bool HasGradient(const StepRecord& record) { return !record.empty && record.backward; }

inline double Sum(const PhaseSeconds& phases) {
  double sum = 0;
  for (const double seconds : phases) sum += seconds;
  return sum;
}

// One forward and backward, the mean over the batches of the update.
inline double MicroSeconds(const StepRecord& record) {
  return (SecondsOf(record.phases, Phase::kForward) + SecondsOf(record.phases, Phase::kBackward)) /
         static_cast<double>(record.micro_batches);
}

struct NamedValue {
  std::string name;
  double value = 0;
};

struct EvalRecord {
  int64_t batches = 0, of = 0, targets = 0;
  std::optional<double> loss;
  std::vector<NamedValue> metrics;  // of the option eval.metrics, those that have a value
  double seconds = 0;
};

struct EpochRecord {
  int64_t epoch = 0, epochs = 0, step = 0;
  double train_loss = 0;
  std::optional<double> val_loss;
  std::vector<NamedValue> metrics;  // of the eval
  tscore::Statistics tscore;
  tscore::NoiseStatistics noise;
  double seconds = 0;  // training alone
  double eval_seconds = 0;
  double tokens_per_s = 0;  // tokens of the epoch over its training seconds
  double samples_per_s = 0;
  bool best = false;  // the lowest val loss so far
};

// A guard that found something and lets the training go on (guards/README.md): message "Gnn name: ...", and the numbers
// that it compared.
struct Warning {
  std::string message;
  int64_t step = 0;
  std::optional<double> value = {}, limit = {};
};

// A diverged training went on from a checkpoint (guard G23).
struct Rollback {
  int64_t step = 0, from_step = 0;  // the checkpoint's update, and the one that diverged
  double lr_factor = 1;             // of all rollbacks together, on every base learning rate
  int64_t attempt = 0, of = 0;      // which attempt, out of how many
  std::string reason;               // what diverged
  nlohmann::json extra;             // as the function given to SaveTo gave it
};

// What is to become of an update whose gradients are there; of several answers the last in this order counts.
enum class Verdict {
  kMove,
  kSkip,   // leave it out
  kAgain,  // the weights were changed: take loss and gradients of the same batches once more, and ask again
};

// What an observer may ask of the loop.
struct Control {
  bool stop = false;
  std::string reason;
};

// The phase of a training that waits for people.
inline constexpr const char* kPausedPhase = "paused";

class Observer {
 public:
  virtual ~Observer() = default;
  // The phase that its time belongs to.
  virtual Phase phase() const { return Phase::kLog; }
  // The gradients of update `record.step` are there, nothing is changed yet. Where an observer asked for them again,
  // all are called a second time, with record.again, and may not ask once more.
  virtual absl::Status BeforeUpdate(const StepRecord& record, Verdict* verdict) { return absl::OkStatus(); }
  virtual absl::Status OnStep(const StepRecord& record, Control* control) { return absl::OkStatus(); }
  virtual absl::Status OnEval(const EvalRecord& record, int64_t step) { return absl::OkStatus(); }
  virtual absl::Status OnEpoch(const EpochRecord& record, Control* control) { return absl::OkStatus(); }
  virtual void OnPhase(const std::string& phase) {}
  // `done` of `of` parts of the phase are through, such as batches of an eval.
  virtual void OnPart(int64_t done, int64_t of) {}
  // A signal that came since the last boundary (signals.h).
  virtual void OnSignal(int signal, int64_t step) {}
  virtual absl::Status OnWarning(const Warning& warning) { return absl::OkStatus(); }
  virtual absl::Status OnRollback(const Rollback& rollback) { return absl::OkStatus(); }
};

}  // namespace lanthorn::train
