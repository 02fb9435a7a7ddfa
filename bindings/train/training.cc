// What a trainer does when it is asked: train, measure, evaluate.
#include "bindings/data/data.h"
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
  return batches ? self.trainer->EvaluateOn(**batches) : self.trainer->Evaluate();
}

absl::StatusOr<std::vector<tscore::Score>> ProbeTScore(LuaTrainer& self, int64_t batches) {
  return self.trainer->ProbeTScore(batches);
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
  self.trainer->RemoveObservers();
  self.progress.reset();
  self.life.reset();
  self.signals.reset();
}

const std::vector<FunctionRow> kMethods = {
    {"Trainer:measure", "initial",
     "Runs the first batch without changing anything: {first_loss=, step_s=, activation_mb=}. initial: {expected=, "
     "abs=}, what a fresh model's loss must be and by how much it may differ.",
     Typed<&Measure>},
    {"Trainer:run", "", "Trains; gives epochs, best, tscore, seconds and how it ended.", Typed<&Run>},
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
