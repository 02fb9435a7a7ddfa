// The training loop. It takes functions: a loss over a batch and a parameter list, so that a native model, a model
// written in Lua and a test's lambda fit the same hole.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/data/batches.h"
#include "engine/kernels/gemm/precision.h"
#include "engine/nn/module.h"
#include "engine/optim/optimizer.h"
#include "engine/optim/schedule.h"
#include "engine/run/checkpoint_store.h"
#include "engine/train/continual/fisher.h"
#include "engine/train/continual/penalty.h"
#include "engine/train/eval/eval.h"
#include "engine/train/fit_options.h"
#include "engine/train/guards/guard_options.h"
#include "engine/train/hybrid/hybrid.h"
#include "engine/train/loss/gradients.h"
#include "engine/train/loss/loss.h"
#include "engine/train/report/host_reads.h"
#include "engine/train/report/records.h"
#include "engine/train/state/checkpointer.h"
#include "engine/train/state/fit_state.h"
#include "engine/train/time_limit.h"
#include "engine/tscore/groups.h"

namespace lanthorn::train {

// Targets that get gradient: of class numbers, those that are not -100 (guard G17).
int64_t CountTargets(const at::Tensor& y);

struct FitOptions {
  TrainSection train = {};
  TScoreSection tscore = {};
  EvalSection eval = {};
  ClipSection clip = {};
  // Saves and leaves after this update, as on request of a scheduler; schedules do not know of it. 0: never.
  int64_t stop_after = 0;
  c10::Device device = c10::Device(c10::DeviceType::CPU);
  tscore::Grouping tscore_groups = tscore::Grouping::kNone;  // of tscore.groups
  // Of train.precision and train.emulate, for every loss that the trainer asks for: training, eval, the first step that
  // is timed, and all its T-Scores. Observers are outside of it: text that they draw and T-Scores that they measure
  // themselves are fp32's. What must hold for it: CheckTrainingPrecision.
  kernels::Precision precision = {};
  // What an eval's metrics (metrics.h) are computed from. `loss_name` is that of the loss, if it has one (losses.h): an
  // eval with metrics then takes both from one forward.
  std::string loss_name = {};
  Evaluator::OutputFn output = {};
  optim::Schedule schedule = {};
  TimeLimit limit = {};
  GuardOptions guards = {};
};

// Values that a fresh model's first loss is compared with (guard G05); `guard` off skips the check.
struct InitialLoss {
  bool guard = true;
  std::optional<double> expected;  // ln V
  double absolute = 0.5, relative = 0.1;
};

struct Measurement {
  double first_loss = 0;
  double step_s = 0;             // forward, backward and T-Score, best of two after one warm-up
  int64_t activation_bytes = 0;  // tensor memory one step takes beyond parameters and optimiser
  // The same without train.recompute, where that is on and such a step fits into memory.
  std::optional<int64_t> kept_activation_bytes;
};

// What a training came to; `seconds` are those of all attempts.
struct FitResult : FitState {
  // Or STOPPED by a callback, LIMIT by max_steps; INTERRUPTED, PREEMPTED or STALLED by a signal, TIMEOUT by its limit.
  std::string state = "FINISHED";
  std::string reason;
  int signal = 0;
  int code = 0;  // exit code where a signal, the time limit or stop_after ended the training
  std::optional<double> step_median_s, step_p10_s, step_p90_s;
  std::optional<double> micro_median_s;  // one forward and backward
  HostReadMeans reads;                   // of this process
};

// How far a training goes at once: until so many updates, or the end of that epoch; 0: no limit.
struct Stretch {
  int64_t updates = 0, epochs = 0;
};

// What a resumed training began with.
struct Restored {
  std::string checkpoint;
  int64_t step = 0;
  std::vector<std::string> passed_over;  // newer checkpoints, each with what is wrong with it
  std::vector<std::string> set_aside;    // checkpoints above it, moved away
  nlohmann::json extra;                  // as the function given to SaveTo gave it
  std::string note;                      // empty, or how far the probe is from that of another machine
};

class Trainer {
 public:
  Trainer(std::shared_ptr<nn::Module> model, LossFn loss, std::shared_ptr<data::Batches> train,
          std::shared_ptr<data::Batches> val, std::shared_ptr<optim::Optimizer> optimizer, FitOptions options);
  ~Trainer();

  void AddObserver(std::shared_ptr<Observer> observer) { observers_.push_back(std::move(observer)); }
  void RemoveObservers() { observers_.clear(); }
  // Tells the observers of a guard that warns: the run's record of it is theirs.
  absl::Status Warn(const std::string& message, std::optional<double> value = {}, std::optional<double> limit = {});

  absl::Status Warn(const Warning& warning);

  // Checks that loss, parameters and optimiser are on the device, runs the first batch without changing anything
  // (parameters, gradients, random state), compares the loss with `initial`, and times a step.
  absl::StatusOr<Measurement> Measure(const InitialLoss& initial);

  // Saves to the run's checkpoints from now on. `extra` gives what else is to be kept, at each save.
  void SaveTo(std::shared_ptr<RunDirectory> run, CheckpointOptions options,
              std::function<absl::StatusOr<nlohmann::json>()> extra);
  // From now on the objective has this term too; checkpoints hold its state, and one that was restored without it gives
  // it back its own here.
  absl::Status SetPenalty(std::shared_ptr<Penalty> penalty);
  // From now on some updates are predicted (hybrid/hybrid.h); the probe batch is the first of val, or of train where
  // there is none. ConfigError for options that mean nothing, and beside a mask of the optimiser's.
  absl::Status SetHybrid(const HybridOptions& options);
  const Hybrid* hybrid() const { return hybrid_.get(); }
  // F of `batches` train batches from `first` on, at the weights as they are; of their own rows where earlier ones are
  // replayed among them.
  absl::StatusOr<std::vector<at::Tensor>> FisherOver(int64_t first, int64_t batches, FisherOf of);
  // Where the update that is not finite is kept; empty: nowhere.
  void DumpTo(std::string folder) { dumps_ = std::move(folder); }
  // The training as it is: what a checkpoint of it holds.
  absl::StatusOr<CheckpointContent> Snapshot();
  // Goes on from the newest checkpoint that verifies, or from the one of this name; newer ones are set aside. Nothing
  // is changed when model or optimiser do not fit. WeightsError also when the restored model does not give the recorded
  // outputs (guard G25): bit for bit on the machine that wrote them, within 1e-5 elsewhere.
  absl::StatusOr<Restored> Restore(CheckpointStore store, const std::string& name = "");
  // The end of a finished training: its weights are loaded, and what its Run gave is given again. `restored` says from
  // where, and what else was kept.
  absl::StatusOr<FitResult> RestoreFinished(const CheckpointStore& store, Restored* restored);

  // Trains, from the beginning or from where Restore left it. Guards that fire, a non-finite loss and errors of
  // observers end it with their status.
  absl::StatusOr<FitResult> Run();

  // The same in parts, for a training that people steer: Begin once, TrainUntil until done(), Finish once. With a
  // stretch it comes back at its end, or after the update in which SIGINT came, with everything as a checkpoint would
  // hold it. What is trained is the same, bit for bit.
  absl::Status Begin();
  absl::Status TrainUntil(const Stretch* stretch);
  absl::StatusOr<FitResult> Finish();
  // An error while TrainUntil runs: an observer must not end or move the training that calls it.
  absl::Status CheckIdle() const;
  // Nothing is left to do but to finish.
  bool done() const;
  // What a Finish here would give.
  const FitResult& so_far() const { return result_; }
  // Ends a training before its plan, as an observer can.
  void Stop(const std::string& reason) { control_ = {true, reason}; }

  // The last update; nothing before the first of this process.
  const std::optional<StepRecord>& last() const { return last_; }
  // A checkpoint of the training as it is, at a step boundary.
  absl::Status SaveNow();
  // Goes back to the newest checkpoint, or the one of this name, in the middle of a training; later ones are set aside.
  absl::StatusOr<Restored> GoBack(const std::string& name);

  // Options that people change while it trains (tune.cc): {section: {key: value}} of `train` epochs, max_steps;
  // `tscore` every; `eval` val_cap; `optim` lr, what the optimiser's groups have, clip_norm, clip_value, clip_each, and
  // the schedule. lr is that of the first group, others keep their ratio to it. All or nothing; ConfigError names what
  // cannot be changed. Checkpoints hold the changes.
  absl::Status Tune(const nlohmann::json& changes);
  // Everything that Tune takes, as it is now; of the optimiser's options those of the first group.
  nlohmann::json Tuning() const;

  // What `updates` further updates would give: their losses, with everything put back afterwards. `rate` gives the
  // learning rate of each, as a factor on every group's rate; one_batch repeats the next update's batches. It ends
  // early when keep_on(loss, number) says so, or SIGINT comes.
  struct Rehearsal {
    int64_t updates = 1;
    bool one_batch = false;
    std::function<double(int64_t)> factor = {};  // of update 0, 1, ...; the schedule's when empty
    std::function<bool(double, int64_t)> keep_on = {};
  };
  absl::StatusOr<std::vector<double>> Rehearse(const Rehearsal& plan);

  // Mean loss over the val batches in eval mode, without gradient; `stop` is asked before each batch.
  absl::StatusOr<EvalRecord> Evaluate(const std::function<bool()>& stop = nullptr);

  // The same over other batches, of which val_cap limits the number too.
  absl::StatusOr<EvalRecord> EvaluateOn(const data::Batches& batches, const std::function<bool()>& stop = nullptr);

  // Tells the observers what goes on from here: load, build, train, eval, save or report.
  void Announce(const std::string& phase);

  // T-Score of each of the first `batches` train batches in eval mode; gradients are cleared, nothing else changes.
  absl::StatusOr<std::vector<tscore::Score>> ProbeTScore(int64_t batches);

  // Updates in one epoch, and in all.
  int64_t epoch_steps() const;
  int64_t planned_steps() const;
  const FitOptions& options() const { return options_; }
  const optim::Schedule& schedule() const { return options_.schedule; }
  // Another curve from the next update on. Valid ones only.
  void SetSchedule(const optim::Schedule& schedule) { options_.schedule = given_.schedule = schedule; }
  // The first group's learning rate before the schedule's factor.
  double base_rate() const { return optimizer_->groups().front().base_lr; }
  nn::Module& model() { return *model_; }
  // Weights, buffers and state of the optimiser in one hash (state_hash.h), as text.
  std::string StateHash() const;

 private:
  // The loop, from the outside in (loop.cc).
  absl::Status RunEpoch(Control* control);
  absl::Status TrainStep(Control* control);
  // One that runs no backward (predicted.cc).
  absl::Status PredictedStep(double begin, StepRecord* record, Control* control);
  absl::StatusOr<double> ForwardLoss(const data::Batch& batch) const;
  bool PauseAfterUpdate();
  void EndRun(const Control& control);

  // The parts of an update, in their order (update.cc).
  StepRecord BeginRecord();
  // The gradients of the objective: those of the data, and of the penalty.
  // Limits the gradients as the options say; gives what the optimiser multiplies them by. norm: theirs, if known.
  double ClipGradients(std::optional<double> norm);
  absl::StatusOr<GradientPass> PassOver(const std::vector<data::Batch>& batches, Gradients::TScore tscore,
                                        PhaseSeconds* phases);
  absl::StatusOr<double> PassAgain(const std::vector<data::Batch>& batches, GradientPass* pass, StepRecord* record);
  absl::StatusOr<Verdict> AskBeforeUpdate(StepRecord* record);
  Gradients::TScore WantedScore() const;
  // What the gradients are to be multiplied by; marks the record as skipped where they are not finite.
  absl::StatusOr<double> CheckAndClip(const GradientPass& pass, const std::vector<data::Batch>& batches,
                                      StepRecord* record);
  void MoveWeights(double scale, const std::vector<data::Batch>& batches, StepRecord* record);
  absl::Status Count(const GradientPass& pass, const std::vector<data::Batch>& batches, StepRecord* record);
  absl::Status CheckAlive(StepRecord* record);
  void CloseTimes(double begin, StepRecord* record);
  void TimeSteps();  // what the result says of the time of a step
  void AddToEpoch(const GradientPass& pass, const StepRecord& record);
  absl::Status WarnOfEmpty(int64_t batches, const StepRecord& record);

  // The end of an epoch (epoch_end.cc).
  absl::Status FinishEpoch(Control* control);
  absl::Status EvaluateEpoch(EpochRecord* record);
  void KeepBest(EpochRecord* record);
  absl::Status SaveWithin(Control* control);
  absl::Status SaveEpoch();

  // Takes over `changes` (tune.cc); nothing is changed where one cannot be.
  absl::Status ApplyTuning(const nlohmann::json& changes);
  absl::StatusOr<CheckpointContent> SnapshotApart();
  absl::Status TuneOptimizer(const nlohmann::json& changes);
  absl::Status RehearseAll(const Rehearsal& plan, std::vector<double>* losses);
  absl::StatusOr<double> RehearseUpdate(int64_t batch, double factor);

  absl::StatusOr<CheckpointContent> LoadChecked(const CheckpointStore& store, Restored* restored);
  absl::Status Load(const CheckpointContent& content);
  absl::StatusOr<nlohmann::json> Probe();
  // Before the first update of this process: what the guards compare with, and a checkpoint to roll back to.
  absl::Status BeginGuards();
  std::unique_ptr<class AliveCheck> WatchAlive() const;
  // Whether this update is to be skipped for what is not finite in it; the status of G23 when it ends the training.
  absl::StatusOr<bool> CheckDivergence(const GradientPass& pass, double grad_norm,
                                       const std::vector<data::Batch>& batches);
  // Goes on from the newest checkpoint after `status`, or gives the status that ends the training.
  absl::Status RollBack(const absl::Status& status);
  absl::StatusOr<Restored> LoadEarlier(const std::string& name);
  // Whether a signal or the time limit ends the training; `result_` then says which. Tells observers about signals.
  bool Interrupted();

  std::shared_ptr<nn::Module> model_;
  LossFn loss_;
  std::shared_ptr<data::Batches> train_, val_;
  std::shared_ptr<optim::Optimizer> optimizer_;
  FitOptions options_;
  FitOptions given_;  // before any Tune
  Gradients gradients_;
  Evaluator evaluator_;
  std::vector<std::shared_ptr<Observer>> observers_;
  std::vector<nn::NamedParameter> parameters_;
  StepTimer timer_;
  RunningQuantile micro_{0.5};  // seconds of a forward and backward, counted updates
  PhaseSeconds between_{};      // since the last record
  double last_record_s_ = 0;    // when that was
  FitResult result_;
  std::optional<StepRecord> last_;
  std::unique_ptr<class AliveCheck> alive_;
  std::unique_ptr<class StepGuards> guards_;
  int64_t nonfinite_in_a_row_ = 0;
  std::string dumps_;
  int64_t first_update_ = 0;  // the optimiser's updates before this process
  std::shared_ptr<Penalty> penalty_;
  std::unique_ptr<Hybrid> hybrid_;
  std::optional<CheckpointContent> unclaimed_;  // what a checkpoint held of a penalty that is not set
  std::unique_ptr<Checkpointer> checkpointer_;
  std::function<absl::StatusOr<nlohmann::json>()> extra_;
  std::string config_hash_;
  // A training that ends within an epoch is evaluated there, and goes on from before that.
  std::optional<CheckpointContent> stop_point_;
  Control control_;                   // what observers asked for
  const Stretch* stretch_ = nullptr;  // while TrainUntil has one
  bool training_ = false;             // while TrainUntil runs
  bool paused_ = false;
  nlohmann::json tuned_ = nlohmann::json::object();  // of Tune, by section and key
};

}  // namespace lanthorn::train
