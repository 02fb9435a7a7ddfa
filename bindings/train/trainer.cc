#include "bindings/train/trainer.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "bindings/data/data.h"
#include "bindings/lua/running.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/nn/optimizer.h"
#include "engine/device/device.h"
#include "engine/train/eval/metrics.h"
#include "engine/train/guards/precision_check.h"
#include "engine/train/guards/recompute_check.h"
#include "engine/train/loss/losses.h"

namespace lanthorn::lua {
namespace {

// A call into a model that may run Lua: tensors made there end with it, and an error there is a status.
template <typename Result, typename Argument>
std::function<absl::StatusOr<Result>(const Argument&)> ScopedFor(
    const nn::Module& model, std::function<absl::StatusOr<Result>(const Argument&)> call) {
  if (!model.HoldsScripted()) return call;
  return [call = std::move(call)](const Argument& argument) -> absl::StatusOr<Result> {
    const ScopeGuard scope(RunningState());
    try {
      return call(argument);
    } catch (const StatusError& error) {
      return error.status();
    }
  };
}

// The fields of the table at 1 that make a trainer.
class Parts {
 public:
  explicit Parts(lua_State* L) : L_(L) { luaL_checktype(L, 1, LUA_TTABLE); }

  // The field as a T; empty where it is nil.
  template <typename T>
  std::optional<T> Find(const char* name) const {
    lua_getfield(L_, 1, name);
    std::optional<T> value;
    if (!ValueOf<std::optional<T>>::Read(L_, lua_gettop(L_), &value)) {
      throw UsageError(
          absl::StrCat("train: ", name, ": expected ", ValueOf<T>::Type(), ", got ", Describe(L_, lua_gettop(L_))));
    }
    lua_pop(L_, 1);
    return value;
  }
  template <typename T>
  std::shared_ptr<T> Object(const char* name) const {
    if (auto object = Find<std::shared_ptr<T>>(name)) return *std::move(object);
    throw UsageError(absl::StrCat("train: ", name, ": expected ", TypeName<T>::kName, ", got nil"));
  }
  // Reads the field, a table of options, if it is there.
  template <typename T>
  void Options(const char* name, T& options) const {
    lua_getfield(L_, 1, name);
    ReadFields(L_, lua_gettop(L_), name, options);
    lua_pop(L_, 1);
  }

 private:
  lua_State* L_;
};

// What concerns this start of a training, not its result.
struct LaunchOptions {
  std::string device = "cpu";
  int64_t stop_after = 0;
  double max_time_s = 0, started_s = 0;
  bool accept_eta = false;
  int64_t schedule_end = 0;
};
template <typename Visit>
void Fields(Visit&& visit, LaunchOptions& launch) {
  visit({"device", "where model and batches are"}, launch.device);
  visit({"stop_after", "save and leave after this update; 0: never", 0}, launch.stop_after);
  visit({"max_time_s", "end after so many seconds; 0: never", 0}, launch.max_time_s);
  visit({"started_s", "since when they count"}, launch.started_s);
  visit({"accept_eta", "go on when the plan needs longer"}, launch.accept_eta);
  visit({"schedule_end", "the update at which cosine and linear end; 0: the last one"}, launch.schedule_end);
}

// sections = { train =, tscore =, eval =, optim = }: those options of a config that the loop reads.
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
        options->train, options->tscore, options->eval, {options->clip, options->schedule});
  }
  lua_pop(L, 1);
  options->tscore_groups = Value(tscore::GroupingOf(options->tscore.groups));
  options->precision = {Value(kernels::ParsePrecision(options->train.precision)), options->train.emulate};
  Check(train::Metrics::Make(options->eval.metrics).status());
}

// The loss of the table's field: a function written in Lua, or a name. [-0, +0, e]
train::LossFn ReadLoss(lua_State* L, const std::shared_ptr<nn::Module>& model, LuaTrainer* owner, std::string* name) {
  lua_getfield(L, 1, "loss");
  if (lua_isfunction(L, -1)) {
    owner->loss = Ref(L);
    return [owner](const data::Batch& batch) { return CallLoss(owner, batch); };
  }
  *name = lua_isnil(L, -1) ? "cross_entropy" : luaL_checkstring(L, -1);
  lua_pop(L, 1);
  if (!model->HasForward() && !model->scripted())
    throw UsageError("train: a model without a forward needs a loss function");
  return ScopedFor(*model, Value(train::NamedLoss(*name, model)));
}

std::shared_ptr<LuaTrainer> New(lua_State* L, Anything) {
  const Parts parts(L);
  const auto model = parts.Object<nn::Module>("model");
  const auto batches = parts.Object<data::Batches>("train");
  const auto val = parts.Find<std::shared_ptr<data::Batches>>("val").value_or(nullptr);
  const auto optimizer = parts.Object<optim::Optimizer>("optimizer");
  auto self = std::make_shared<LuaTrainer>();
  lua_getfield(L, 1, "model");
  self->model = Ref(L);
  train::FitOptions options;
  train::LossFn loss = ReadLoss(L, model, self.get(), &options.loss_name);
  options.output = ScopedFor(*model, std::function<absl::StatusOr<at::Tensor>(const at::Tensor&)>(
                                         [model](const at::Tensor& x) { return model->Forward(x, nullptr); }));
  LaunchOptions launch;
  parts.Options("options", launch);
  options.device = Value(device::Resolve(launch.device));
  options.stop_after = launch.stop_after;
  options.limit = {launch.max_time_s, launch.started_s, launch.accept_eta};
  parts.Options("guards", options.guards);
  ReadSections(L, &options);
  options.eval.off = options.eval.off || val == nullptr;
  options.guards.clip_norm = options.clip.clip_norm;
  // A schedule without an end of its own ends with the training.
  options.schedule.total = launch.schedule_end > 0 ? launch.schedule_end : options.train.Updates(batches->count());
  Check(options.schedule.Validate());
  if (const double factor = options.guards.rollback_factor; !(factor > 0 && factor <= 1))
    Check(ConfigError(absl::StrCat("train.rollback_factor must be above 0 and at most 1, got ", factor)));
  Check(train::CheckTrainingPrecision(*model, options.precision, options.device));
  if (options.train.recompute) Check(train::CheckRecompute(*model));
  self->trainer = std::make_shared<train::Trainer>(model, std::move(loss), batches, val, optimizer, options);
  return self;
}

absl::StatusOr<std::tuple<at::Tensor, int64_t>> LossOf(const std::string& name, const at::Tensor& output,
                                                       const at::Tensor& y) {
  const train::Loss loss = Value(train::LossOfOutput(name, output, y));
  return std::tuple{loss.mean, loss.targets};
}

int64_t PlannedUpdates(lua_State* L, Anything section, int64_t batches) {
  train::TrainSection options;
  ReadFields(L, section.index, "train", options);
  return options.Updates(batches);
}

const std::vector<FunctionRow> kFunctions = {
    {"loss_of", "name, output, y",
     "The mean loss of that name, as train.fit{loss=name} takes it, and over how many targets it is the mean.",
     Typed<&LossOf>},
    {"planned_updates", "table section, batches",
     "Updates of a training with these options of the section `train` over so many batches an epoch.",
     Typed<&PlannedUpdates>, "require('lanthorn').train.planned_updates({ epochs = 2 }, 10) == 20"},
    {"check_loss", "name", "An error when no loss has this name.", Typed<&train::CheckLossName>},
    {"new", "table parts",
     "A trainer from model, train, val, optimizer, loss, guards, options, and those sections of a config "
     "that the loop reads; train.fit builds it.",
     Typed<&New>}};

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
  RegisterGenerate(L);
  RegisterReplicas(L);
  RegisterSleep(L);
  DefineType<LuaTrainer>(L);
  RegisterTraining(L);
  RegisterContinual(L);
  RegisterHybrid(L);
  RegisterCallbacks(L);
  RegisterWatch(L);
  RegisterSaving(L);
  RegisterAttach(L);
  lua_pop(L, 1);
  lua_setfield(L, -2, "train");
}

}  // namespace lanthorn::lua
