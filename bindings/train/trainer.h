// The trainer in Lua: losses and callbacks written in Lua, results as tables.
#pragma once

#include <memory>

#include "bindings/lua/ref.h"
#include "bindings/lua/userdata.h"
#include "engine/train/report/progress.h"
#include "engine/train/report/run_progress.h"
#include "engine/train/signals.h"
#include "engine/train/trainer.h"

namespace lanthorn::lua {

// A trainer with what its Lua side needs. `L` is the thread of the running call; only that one touches Lua.
struct LuaTrainer {
  lua_State* L = nullptr;
  Ref model;  // its userdata, with which Lua forwards stay
  Ref loss;   // function (x, y) -> loss [, targets [, terms]]
  Ref extra;  // function () -> table that goes into checkpoints
  std::shared_ptr<train::Trainer> trainer;
  std::shared_ptr<train::Progress> progress;
  std::unique_ptr<train::SignalScope> signals;
  std::shared_ptr<train::RunProgress> life;
};
LANTHORN_LUA_TYPE(LuaTrainer, "train.Trainer");

// Writes all of the text to stderr; a closed stderr never stops a run (guard G41).
void WriteError(const std::string& text);

void PushEval(lua_State* L, const train::EvalRecord& record);
void PushEpoch(lua_State* L, const train::EpochRecord& record);
void PushFit(lua_State* L, const train::FitResult& result);
void PushStep(lua_State* L, const train::StepRecord& record);

// The terms of a loss: {name = Tensor, number, or {value =, monitor =}}, by name. A number is a monitor.
absl::Status ReadLossTerms(lua_State* L, int index, std::vector<train::LossTerm>* terms);
// The field `guards` of the parts of a trainer, at 1. [-0, +0, e]
train::GuardOptions ReadGuards(lua_State* L);
// Adds the trainer's methods about guards to the table of methods on the top of the stack. [-0, +0, m]
void AddGuardMethods(lua_State* L);

// Adds train.generate's row function to the table on the top of the stack. [-0, +0, m]
void OpenGenerate(lua_State* L);
// Writes all of the text to stderr; a closed stderr never stops a run (guard G41).
void WriteError(const std::string& text);

// Adds the Trainer's methods about signals and progress to the table of methods on the top of the stack. [-0, +0, m]
void RegisterWatch(lua_State* L);
// Adds the trainer's methods for checkpoints to the table on the top of the stack. [-0, +0, m]
void AddCheckpointMethods(lua_State* L);
// Adds `checkpoints` to the module table on the top of the stack. [-0, +0, m]
void OpenCheckpoints(lua_State* L);
// Adds `train` to the module table on the top of the stack. [-0, +0, m]
void OpenTrain(lua_State* L);

}  // namespace lanthorn::lua
