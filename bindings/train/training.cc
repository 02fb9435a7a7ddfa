// What a trainer does when it is asked: train, measure, evaluate.
#include <algorithm>
#include <cmath>
#include <limits>

#include "bindings/data/data.h"
#include "bindings/lua/json.h"
#include "bindings/lua/running.h"
#include "bindings/lua/typed.h"
#include "bindings/train/records.h"
#include "bindings/train/run.h"
#include "bindings/train/trainer.h"
#include "bindings/tscore.h"
#include "engine/train/state/weights_hash.h"

namespace lanthorn::lua {
namespace {

absl::StatusOr<train::Measurement> Measure(LuaTrainer& self, std::optional<std::map<std::string, double>> initial) {
  train::InitialLoss given;
  given.guard = initial && initial->contains("expected");
  if (given.guard) given.expected = initial->at("expected");
  if (initial && initial->contains("abs")) given.absolute = initial->at("abs");
  return self.trainer->Measure(given);
}

absl::StatusOr<train::FitResult> Run(LuaTrainer& self) {
  // Behind the others, so that the update it stops at is recorded.
  if (const train::TimeLimit& limit = self.trainer->options().limit; limit.seconds > 0)
    self.trainer->AddObserver(std::make_shared<train::BudgetGuard>(limit));
  return self.trainer->Run();
}

absl::StatusOr<train::EvalRecord> Evaluate(LuaTrainer& self, std::optional<std::shared_ptr<data::Batches>> batches) {
  return batches ? self.trainer->EvaluateOn(**batches, &InterruptPending) : self.trainer->Evaluate(&InterruptPending);
}

absl::StatusOr<std::vector<tscore::Score>> ProbeTScore(LuaTrainer& self, int64_t batches) {
  return self.trainer->ProbeTScore(batches);
}

// Everything but Run is for a training in parts.
absl::Status Begin(LuaTrainer& self) { return self.trainer->Begin(); }

absl::Status TrainUntil(LuaTrainer& self, std::optional<int64_t> updates, std::optional<int64_t> epochs) {
  const train::Stretch stretch{updates.value_or(0), epochs.value_or(0)};
  return self.trainer->TrainUntil(&stretch);
}

absl::StatusOr<train::FitResult> Finish(LuaTrainer& self) { return self.trainer->Finish(); }

bool Done(LuaTrainer& self) { return self.trainer->done(); }

bool IsIdle(LuaTrainer& self) { return self.trainer->CheckIdle().ok(); }

void Stop(LuaTrainer& self, const std::string& reason) { self.trainer->Stop(reason); }

train::FitResult SoFar(LuaTrainer& self) { return self.trainer->so_far(); }

std::optional<train::StepRecord> Last(LuaTrainer& self) { return self.trainer->last(); }

absl::Status Tune(LuaTrainer& self, const nlohmann::json& changes) { return self.trainer->Tune(changes); }

nlohmann::json Tuning(LuaTrainer& self) { return self.trainer->Tuning(); }

struct RehearseOptions {
  int64_t updates = 1;
  bool one_batch = false;
  double from = 0, to = 0, stop_above = 0;
};
template <typename Visit>
void Fields(Visit&& visit, RehearseOptions& options) {
  visit({"updates", "how many", 1}, options.updates);
  visit({"one_batch", "the same batch again and again"}, options.one_batch);
  visit({"from", "learning rate of the first one; 0: the schedule's", 0}, options.from);
  visit({"to", "of the last one; they grow by the same factor", 0}, options.to);
  visit({"stop_above", "end at a loss of so many times the lowest; 0: never", 0}, options.stop_above);
}

absl::StatusOr<std::vector<double>> Rehearse(LuaTrainer& self, const RehearseOptions& options) {
  train::Trainer::Rehearsal plan{.updates = options.updates, .one_batch = options.one_batch};
  if (options.from > 0) {
    if (!(options.to > options.from)) throw UsageError("rehearse: `to` must be above `from`");
    const double base = self.trainer->base_rate();
    if (base <= 0) throw UsageError("rehearse: the learning rate is 0, so there is nothing to vary");
    const double last = static_cast<double>(std::max<int64_t>(1, options.updates - 1));
    plan.factor = [=](int64_t i) {
      return options.from * std::pow(options.to / options.from, static_cast<double>(i) / last) / base;
    };
  }
  plan.keep_on = [&options, lowest = std::numeric_limits<double>::infinity()](double loss, int64_t) mutable {
    lowest = std::min(lowest, loss);
    return options.stop_above == 0 || loss <= options.stop_above * lowest;
  };
  return self.trainer->Rehearse(plan);
}

std::string WeightsSha256(LuaTrainer& self) { return train::WeightsHash(self.trainer->model().Parameters()); }

int64_t PlannedSteps(LuaTrainer& self) { return self.trainer->planned_steps(); }

// A guard that is written in Lua speaks through here too: one way into the run's record.
absl::Status Warn(LuaTrainer& self, const std::string& message) { return self.trainer->Warn(message); }

void DumpTo(LuaTrainer& self, const RunDirectory& run) { self.trainer->DumpTo(run.path() + "/dumps"); }

absl::StatusOr<int64_t> Horizon(LuaTrainer& self, std::optional<int64_t> update) {
  if (update) {
    optim::Schedule schedule = self.trainer->schedule();
    schedule.total = *update;
    Check(schedule.Validate());
    self.trainer->SetSchedule(schedule);
  }
  return self.trainer->schedule().total;
}

double Rate(LuaTrainer& self, int64_t updates, std::optional<int64_t> horizon) {
  optim::Schedule schedule = self.trainer->schedule();
  if (horizon) schedule.total = *horizon;
  Check(schedule.Validate());
  return self.trainer->base_rate() * schedule.Factor(updates);
}

// Ends reporting and drops the callbacks, which may hold the trainer themselves.
void Close(LuaTrainer& self) {
  Check(self.trainer->CheckIdle());  // they are being called
  self.trainer->RemoveObservers();
  self.progress.reset();
  self.life.reset();
  self.attach.reset();
  self.signals.reset();
}

const std::vector<FunctionRow> kMethods = {
    {"Trainer:measure", "initial",
     "Runs the first batch without changing anything: {first_loss=, step_s=, activation_mb=}. initial: {expected=, "
     "abs=}, what a fresh model's loss must be and by how much it may differ.",
     Typed<&Measure>},
    {"Trainer:run", "", "Trains; gives epochs, best, tscore, seconds and how it ended.", Typed<&Run>},
    {"Trainer:begin", "", "Begins a training in parts.", Typed<&Begin>},
    {"Trainer:train_until", "updates, epochs",
     "Trains until so many updates are made, or the end of that epoch, or until SIGINT comes.", Typed<&TrainUntil>},
    {"Trainer:finish", "", "Ends a training in parts; gives what run() gives.", Typed<&Finish>},
    {"Trainer:done", "", "Whether nothing is left to do but finish().", Typed<&Done>},
    {"Trainer:is_idle", "", "Whether it is outside of train_until() and run(), so that it may be moved and ended.",
     Typed<&IsIdle>},
    {"Trainer:stop", "reason", "Ends the training before its plan.", Typed<&Stop>},
    {"Trainer:so_far", "", "What finish() would give now.", Typed<&SoFar>},
    {"Trainer:last", "", "The record of the last update; nothing before the first.", Typed<&Last>},
    {"Trainer:tune", "changes",
     "Changes options while it trains: {train={epochs=, max_steps=}, tscore={every=}, eval={val_cap=}, optim={lr=, "
     "...}}.",
     Typed<&Tune>},
    {"Trainer:tuning", "", "All options that tune() takes, as they are now.", Typed<&Tuning>},
    {"Trainer:rehearse", "", "The losses of updates for a try; model, optimiser and random numbers are put back.",
     Typed<&Rehearse>},
    {"Trainer:evaluate", "batches", "Mean loss over the val batches, or those given, in eval mode.", Typed<&Evaluate>},
    {"Trainer:probe_tscore", "batches", "T-Scores of the first train batches in eval mode.", Typed<&ProbeTScore>},
    {"Trainer:weights_sha256", "", "One hash of the values of all parameters.", Typed<&WeightsSha256>},
    {"Trainer:planned_steps", "", "Updates that run() will make.", Typed<&PlannedSteps>},
    {"Trainer:horizon", "update", "The update at which the schedule ends; with a number it ends there from now on.",
     Typed<&Horizon>},
    {"Trainer:rate", "updates, horizon",
     "The learning rate of the first group after so many updates, should the schedule end at `horizon`.", Typed<&Rate>},
    {"Trainer:warn", "message", "Tells and records a guard's warning, \"Gnn name: ...\".", Typed<&Warn>},
    {"Trainer:dump_to", "run", "Keeps an update that is not finite in the run's dumps/.", Typed<&DumpTo>},
    {"Trainer:close", "", "Ends reporting, drops all callbacks and gives signals back.", Typed<&Close>},
};

}  // namespace

void RegisterTraining(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
