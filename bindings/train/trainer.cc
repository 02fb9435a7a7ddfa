#include "bindings/train/trainer.h"

#include <unistd.h>

#include "bindings/lua/fields.h"
#include "bindings/lua/function.h"
#include "bindings/nn/module.h"
#include "bindings/nn/optimizer.h"
#include "bindings/ops/function_call.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/data.h"
#include "bindings/train/lua_callback.h"
#include "bindings/train/run.h"
#include "bindings/train/schedule.h"
#include "bindings/tscore.h"
#include "engine/device/device.h"
#include "engine/train/guards/precision_check.h"
#include "engine/train/losses.h"
#include "engine/train/metrics.h"
#include "engine/train/report/run_log.h"
#include "engine/train/state/weights_hash.h"

namespace lanthorn::lua {
namespace {

std::shared_ptr<LuaTrainer> Self(lua_State* L, const char* method) {
  auto self = CheckObject<LuaTrainer>(L, 1, method);
  self->L = L;
  return self;
}

// The loss function written in Lua, called once per batch inside a scope of its own.
absl::StatusOr<train::Loss> CallLoss(LuaTrainer* self, const data::Batch& batch) {
  lua_State* L = self->L;
  const int top = lua_gettop(L);
  ScopeGuard scope(L);
  self->loss.Push(L);
  PushTensor(L, batch.x);
  PushTensor(L, batch.y);
  absl::Status status = CallLua(L, 2, 3);
  train::Loss loss;
  std::string given;
  if (status.ok()) {
    if (TensorBox* box = ToTensorBox(L, top + 1)) loss.mean = box->tensor;
    given = Describe(L, top + 1);
    loss.targets = lua_type(L, top + 2) == LUA_TNUMBER ? static_cast<int64_t>(lua_tonumber(L, top + 2))
                                                       : train::CountTargets(batch.y);
    if (lua_istable(L, top + 3)) status = ReadLossTerms(L, top + 3, &loss.terms);
  }
  scope.End(0);
  lua_settop(L, top);
  if (!status.ok()) return status;
  if (!loss.mean.defined())
    return Error(ExitCode::kScript, "train: the loss function must return a Tensor, got " + given);
  return loss;
}

// The same call for a model that may run Lua: tensors made there end with it, and an error there is a status.
template <typename Result, typename Argument>
std::function<absl::StatusOr<Result>(const Argument&)> ScopedFor(
    LuaTrainer* owner, const nn::Module& model, std::function<absl::StatusOr<Result>(const Argument&)> call) {
  if (!model.HoldsScripted()) return call;
  return [owner, call = std::move(call)](const Argument& argument) -> absl::StatusOr<Result> {
    const ScopeGuard scope(owner->L);
    try {
      return call(argument);
    } catch (const StatusError& error) {
      return error.status();
    }
  };
}

// Calls a Lua callback with a table; 'stop' as its result ends the training.
class LuaObserver final : public train::Observer {
 public:
  LuaObserver(LuaCallback callback, int64_t every_steps) : callback_(std::move(callback)), every_steps_(every_steps) {}

  train::Phase phase() const override { return train::Phase::kCallbacks; }

  absl::Status OnStep(const train::StepRecord& record, train::Control* control) override {
    if (every_steps_ == 0 || record.step % every_steps_ != 0) return absl::OkStatus();
    return Call([&](lua_State* L) { PushStep(L, record); }, control);
  }
  absl::Status OnEpoch(const train::EpochRecord& record, train::Control* control) override {
    if (every_steps_ != 0) return absl::OkStatus();
    return Call([&](lua_State* L) { PushEpoch(L, record); }, control);
  }

 private:
  template <typename Push>
  absl::Status Call(const Push& push, train::Control* control) const {
    callback_.ClearProgress();
    return callback_.Call(LuaCallback::Tensors::kEnd, push, 2, [&](lua_State* L, int first) {
      if (TextAt(L, first) != "stop") return;
      control->stop = true;
      control->reason = lua_type(L, first + 1) == LUA_TSTRING ? TextAt(L, first + 1) : "a callback asked to stop";
    });
  }

  LuaCallback callback_;
  int64_t every_steps_;
};

// Calls a Lua function with each warning of a guard, as a table.
class LuaWarnings final : public train::Observer {
 public:
  explicit LuaWarnings(LuaCallback callback) : callback_(std::move(callback)) {}

  absl::Status OnWarning(const train::Warning& warning) override {
    callback_.ClearProgress();
    return callback_.Call(LuaCallback::Tensors::kStay, [&](lua_State* L) {
      lua_createtable(L, 0, 4);
      lua_pushlstring(L, warning.message.data(), warning.message.size());
      lua_setfield(L, -2, "message");
      lua_pushnumber(L, static_cast<double>(warning.step));
      lua_setfield(L, -2, "step");
      for (const auto& [name, number] : {std::pair{"value", warning.value}, {"limit", warning.limit}}) {
        if (!number) continue;
        lua_pushnumber(L, *number);
        lua_setfield(L, -2, name);
      }
    });
  }

 private:
  LuaCallback callback_;
};

// The field `name` of the table at 1, read as an object. [-0, +0, e]
template <typename T>
std::shared_ptr<T> Field(lua_State* L, const char* name, bool required) {
  lua_getfield(L, 1, name);
  std::shared_ptr<T> object;
  if (required || !lua_isnil(L, -1)) object = CheckObject<T>(L, lua_gettop(L), (std::string("train: ") + name).c_str());
  lua_pop(L, 1);
  return object;
}

// sections = { train =, tscore =, eval =, optim = }: those options of a config that the loop reads. [-0, +0, e]
void ReadSections(lua_State* L, train::FitOptions* options) {
  lua_getfield(L, 1, "sections");
  if (!lua_isnil(L, -1)) {
    luaL_checktype(L, -1, LUA_TTABLE);
    const int sections = lua_gettop(L);
    train::Sections(
        [&](const char* name, auto& section) {
          lua_getfield(L, sections, name);
          ReadFields(L, lua_gettop(L), name, section);
          lua_pop(L, 1);
        },
        options->train, options->tscore, options->eval, options->clip);
  }
  lua_pop(L, 1);
  options->tscore_groups = Value(tscore::GroupingOf(options->tscore.groups));
  options->precision = {Value(kernels::ParsePrecision(options->train.precision)), options->train.emulate};
  Check(train::Metrics::Make(options->eval.metrics).status());
}

int New(lua_State* L) {
  static const NamedSignature signature = ParseSignature(
      "options(str device='cpu', int stop_after=0, float max_time_s=0., float started_s=0., bool accept_eta=False)");
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  auto self = std::make_shared<LuaTrainer>();
  self->L = L;
  const auto model = Field<nn::Module>(L, "model", true);
  const auto batches = Field<data::Batches>(L, "train", true);
  const auto val = Field<data::Batches>(L, "val", false);
  const auto optimizer = Field<optim::Optimizer>(L, "optimizer", true);
  lua_getfield(L, 1, "model");
  self->model = Ref(L);
  train::LossFn loss;
  std::string loss_name;
  lua_getfield(L, 1, "loss");
  if (lua_isfunction(L, -1)) {
    self->loss = Ref(L);
    loss = [owner = self.get()](const data::Batch& batch) { return CallLoss(owner, batch); };
  } else {
    loss_name = lua_isnil(L, -1) ? "cross_entropy" : luaL_checkstring(L, -1);
    lua_pop(L, 1);
    if (!model->HasForward() && !model->scripted())
      throw UsageError("train: a model without a forward needs a loss function");
    loss = ScopedFor(self.get(), *model, Value(train::NamedLoss(loss_name, model)));
  }
  train::FitOptions options;
  options.loss_name = loss_name;
  options.output = ScopedFor(self.get(), *model,
                             std::function<absl::StatusOr<at::Tensor>(const at::Tensor&)>(
                                 [model](const at::Tensor& x) { return model->Forward(x, nullptr); }));
  options.schedule = ReadSchedule(L);
  lua_getfield(L, 1, "options");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
  }
  lua_insert(L, 2);
  const std::vector<c10::IValue> a = ReadCall(L, 2, signature, "train.");
  options.device = Value(device::Resolve(a[0].toStringRef()));
  options.stop_after = a[1].toInt();
  options.limit = {a[2].toDouble(), a[3].toDouble(), a[4].toBool()};
  lua_settop(L, 1);
  ReadSections(L, &options);
  options.eval.off = options.eval.off || val == nullptr;
  options.guards = ReadGuards(L);
  options.guards.clip_norm = options.clip.clip_norm;
  // A schedule without an end of its own ends with the training.
  if (options.schedule.total == 0) options.schedule.total = options.train.Updates(batches->count());
  Check(options.schedule.Validate());
  Check(train::CheckTrainingPrecision(*model, options.precision, options.device));
  self->trainer = std::make_shared<train::Trainer>(model, std::move(loss), batches, val, optimizer, options);
  PushObject(L, self);
  return 1;
}

int Measure(lua_State* L) {
  const auto self = Self(L, "measure");
  train::InitialLoss initial;
  initial.guard = false;
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "expected");
    if (lua_isnumber(L, -1)) {
      initial.expected = lua_tonumber(L, -1);
      initial.guard = true;
    }
    lua_getfield(L, 2, "abs");
    if (lua_isnumber(L, -1)) initial.absolute = lua_tonumber(L, -1);
    lua_settop(L, 1);
  }
  const train::Measurement measurement = Value(self->trainer->Measure(initial));
  lua_createtable(L, 0, 3);
  lua_pushnumber(L, measurement.first_loss);
  lua_setfield(L, -2, "first_loss");
  lua_pushnumber(L, measurement.step_s);
  lua_setfield(L, -2, "step_s");
  lua_pushnumber(L, static_cast<double>(measurement.activation_bytes) / 1e6);
  lua_setfield(L, -2, "activation_mb");
  return 1;
}

int Run(lua_State* L) {
  const auto self = Self(L, "run");
  // Behind the others, so that the update it stops at is recorded.
  if (const train::TimeLimit& limit = self->trainer->options().limit; limit.seconds > 0)
    self->trainer->AddObserver(std::make_shared<train::BudgetGuard>(limit));
  PushFit(L, Value(self->trainer->Run()));
  return 1;
}

int Evaluate(lua_State* L) {
  const auto self = Self(L, "evaluate");
  const train::EvalRecord record =
      Value(lua_isnoneornil(L, 2) ? self->trainer->Evaluate()
                                  : self->trainer->EvaluateOn(*CheckObject<data::Batches>(L, 2, "evaluate: batches")));
  PushEval(L, record);
  return 1;
}

int ProbeTScore(lua_State* L) {
  const auto self = Self(L, "probe_tscore");
  const std::vector<tscore::Score> scores =
      Value(self->trainer->ProbeTScore(CheckWhole(L, 2, "probe_tscore: batches")));
  lua_createtable(L, static_cast<int>(scores.size()), 0);
  for (size_t i = 0; i < scores.size(); ++i) {
    PushScore(L, scores[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

int WeightsSha256(lua_State* L) {
  lua_pushstring(L, train::WeightsHash(Self(L, "weights_sha256")->trainer->model().Parameters()).c_str());
  return 1;
}

int PlannedSteps(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(Self(L, "planned_steps")->trainer->planned_steps()));
  return 1;
}

int OnStep(lua_State* L) {
  const auto self = Self(L, "on_step");
  const int64_t every = CheckWhole(L, 2, "on_step: every");
  luaL_checktype(L, 3, LUA_TFUNCTION);
  if (every < 1) throw UsageError("on_step: every must be at least 1, got " + std::to_string(every));
  lua_settop(L, 3);
  self->trainer->AddObserver(std::make_shared<LuaObserver>(LuaCallback(self.get(), Ref(L)), every));
  return 0;
}

int OnEpoch(lua_State* L) {
  const auto self = Self(L, "on_epoch");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  self->trainer->AddObserver(std::make_shared<LuaObserver>(LuaCallback(self.get(), Ref(L)), 0));
  return 0;
}

int OnWarning(lua_State* L) {
  const auto self = Self(L, "on_warning");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  self->trainer->AddObserver(std::make_shared<LuaWarnings>(LuaCallback(self.get(), Ref(L))));
  return 0;
}

// A guard that is written in Lua speaks through here too: one way into the run's record.
int Warn(lua_State* L) {
  Check(Self(L, "warn")->trainer->Warn(luaL_checkstring(L, 2)));
  return 0;
}

int ShowProgress(lua_State* L) {
  static const NamedSignature signature = ParseSignature(
      "progress(bool terminal=False, bool unicode=False, bool quiet=False, bool samples=False, float interval_s=30.)");
  const auto self = Self(L, "show_progress");
  std::shared_ptr<RunDirectory> run = ToObject<RunDirectory>(L, 2);
  lua_remove(L, 2);
  const std::vector<c10::IValue> a = ReadCall(L, 2, signature, "train.");
  train::ProgressOptions options;
  options.terminal = a[0].toBool();
  options.unicode = a[1].toBool();
  options.quiet = a[2].toBool();
  options.samples = a[3].toBool();
  options.interval_s = a[4].toDouble();
  options.write = &WriteError;
  if (run != nullptr) {
    options.log = [run](const std::string& text) { run->AppendLog(text); };
    train::MemoryProbe memory;
    memory.lua = [owner = self.get()] {
      return int64_t{lua_gc(owner->L, LUA_GCCOUNT, 0)} * 1024 + lua_gc(owner->L, LUA_GCCOUNTB, 0);
    };
    self->trainer->AddObserver(
        std::make_shared<train::RunLog>(run, self->trainer->options().tscore.samples, std::move(memory)));
  }
  self->progress = std::make_shared<train::Progress>(std::move(options));
  self->trainer->AddObserver(self->progress);
  return 0;
}

int ClearProgress(lua_State* L) {
  const auto self = Self(L, "clear_progress");
  if (self->progress != nullptr) self->progress->Clear();
  return 0;
}

// Ends reporting and drops the callbacks, which may hold the trainer themselves.
int Close(lua_State* L) {
  const auto self = Self(L, "close");
  self->trainer->RemoveObservers();
  self->progress.reset();
  self->life.reset();
  self->signals.reset();
  return 0;
}

// loss_of(name, output, y)
int LossOf(lua_State* L) {
  const train::Loss loss = Value(train::LossOfOutput(luaL_checkstring(L, 1), CheckTensor(L, 2, "train.loss_of: output"),
                                                     CheckTensor(L, 3, "train.loss_of: y")));
  PushTensor(L, loss.mean);
  lua_pushnumber(L, static_cast<double>(loss.targets));
  return 2;
}

int PlannedUpdates(lua_State* L) {
  train::TrainSection section;
  ReadFields(L, 1, "train", section);
  lua_pushnumber(L, static_cast<double>(section.Updates(CheckWhole(L, 2, "planned_updates: batches"))));
  return 1;
}

int CheckLoss(lua_State* L) {
  Check(train::CheckLossName(luaL_checkstring(L, 1)));
  return 0;
}

const std::vector<FunctionRow> kFunctions = {
    {"loss_of", "(str name, Tensor output, Tensor y) -> Tensor, int",
     "The mean loss of that name, as train.fit{loss=name} takes it, and over how many targets it is the mean.",
     &Thunk<&LossOf>},
    {"planned_updates", "(table section, int batches) -> int",
     "Updates of a training with these options of the section `train` over so many batches an epoch.",
     &Thunk<&PlannedUpdates>, "require('lanthorn').train.planned_updates({ epochs = 2 }, 10) == 20"},
    {"check_loss", "(str name) -> ()", "An error when no loss has this name.", &Thunk<&CheckLoss>},
    {"new", "(table parts) -> Trainer",
     "A trainer from model, train, val, optimizer, loss, schedule, guards, options, and those sections of a config "
     "that the loop reads; train.fit builds it.",
     &Thunk<&New>}};
const std::vector<FunctionRow> kMethods = {
    {"Trainer:measure", "(table? initial=None) -> table",
     "Runs the first batch without changing anything: {first_loss=, step_s=, activation_mb=}.", &Thunk<&Measure>},
    {"Trainer:run", "() -> table", "Trains; gives epochs, best, tscore, seconds and how it ended.", &Thunk<&Run>},
    {"Trainer:evaluate", "(Batches? batches=None) -> table",
     "Mean loss over the val batches, or those given, in eval mode.", &Thunk<&Evaluate>},
    {"Trainer:probe_tscore", "(int batches) -> table[]", "T-Scores of the first train batches in eval mode.",
     &Thunk<&ProbeTScore>},
    {"Trainer:weights_sha256", "() -> str", "One hash of the values of all parameters.", &Thunk<&WeightsSha256>},
    {"Trainer:planned_steps", "() -> int", "Updates that run() will make.", &Thunk<&PlannedSteps>},
    {"Trainer:on_step", "(int every, function f) -> ()",
     "Calls f(record) after every so many updates; 'stop', reason ends the training.", &Thunk<&OnStep>},
    {"Trainer:on_epoch", "(function f) -> ()", "Calls f(record) at each epoch's end; 'stop', reason ends the training.",
     &Thunk<&OnEpoch>},
    {"Trainer:on_warning", "(function f) -> ()",
     "Calls f({message=, step=, value=, limit=}) when a guard warns: \"Gnn name: ...\".", &Thunk<&OnWarning>},
    {"Trainer:warn", "(str message) -> ()", "Tells and records a guard's warning, \"Gnn name: ...\".", &Thunk<&Warn>},
    {"Trainer:show_progress",
     "(Run? run, *, bool terminal=False, bool unicode=False, bool quiet=False, bool samples=False, float "
     "interval_s=30.) "
     "-> ()",
     "Reports on stderr and into the run directory.", &Thunk<&ShowProgress>},
    {"Trainer:close", "() -> ()", "Ends reporting, drops all callbacks and gives signals back.", &Thunk<&Close>},
    {"Trainer:clear_progress", "() -> ()", "Takes the bar off the screen before something else is printed.",
     &Thunk<&ClearProgress>},
};

}  // namespace

void WriteError(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t written = write(STDERR_FILENO, text.data() + at, text.size() - at);
    if (written <= 0) return;
    at += static_cast<size_t>(written);
  }
}

void OpenTrain(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "train", kFunctions);
  OpenGenerate(L);
  DefineType<LuaTrainer>(L);
  RegisterRows(L, "train", kMethods);
  RegisterWatch(L);
  AddGuardMethods(L);
  AddCheckpointMethods(L);
  AddScheduleMethods(L);
  lua_pop(L, 1);
  lua_setfield(L, -2, "train");
}

}  // namespace lanthorn::lua
