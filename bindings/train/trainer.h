// The trainer in Lua: losses and callbacks written in Lua, results as tables.
#pragma once

#include <memory>

#include "bindings/lua/ref.h"
#include "bindings/lua/userdata.h"
#include "bindings/train/attach.h"
#include "engine/train/continual/ewc.h"
#include "engine/train/report/progress.h"
#include "engine/train/report/run_progress.h"
#include "engine/train/signals.h"
#include "engine/train/trainer.h"

namespace lanthorn::lua {

// A trainer with what its Lua side needs. Lua is called from the thread that called the trainer (RunningState).
struct LuaTrainer {
  Ref model;  // its userdata, with which Lua forwards stay
  Ref loss;   // function (x, y) -> loss [, targets [, terms]]
  Ref extra;  // function () -> table that goes into checkpoints
  std::shared_ptr<train::Trainer> trainer;
  std::shared_ptr<train::Ewc> ewc;  // its penalty, where it has one
  std::shared_ptr<train::Progress> progress;
  std::unique_ptr<train::SignalScope> signals;
  std::shared_ptr<train::RunProgress> life;
  std::shared_ptr<Attach> attach;

  // Takes the bar off the screen, since something else is printed.
  void ClearProgress() const {
    if (progress != nullptr) progress->Clear();
  }
};
LANTHORN_LUA_TYPE(LuaTrainer, "train.Trainer");

// Writes all of the text to stderr; a closed stderr never stops a run (guard G41).
void WriteError(const std::string& text);

// Calls owner->loss with a batch, in a scope of its own.
absl::StatusOr<train::Loss> CallLoss(LuaTrainer* owner, const data::Batch& batch);

// Adds train.sleep_weights to the table on the top of the stack, and the methods of a Trainer that keep earlier
// tasks, and those of predicted updates, to its table of methods. [-0, +0, m]
void RegisterSleep(lua_State* L);
void RegisterContinual(lua_State* L);
void RegisterHybrid(lua_State* L);
// Add train.generate and train.replica_gradients to the table on the top of the stack. [-0, +0, m]
void RegisterGenerate(lua_State* L);
void RegisterReplicas(lua_State* L);
// Add methods of the Trainer to the table of methods on the top of the stack: training and measuring; callbacks;
// signals and progress; checkpoints; clients. [-0, +0, m]
void RegisterTraining(lua_State* L);
void RegisterCallbacks(lua_State* L);
void RegisterWatch(lua_State* L);
void RegisterSaving(lua_State* L);
void RegisterAttach(lua_State* L);
// Adds `checkpoints` to the module table on the top of the stack. [-0, +0, m]
void OpenCheckpoints(lua_State* L);
// Adds `train` to the module table on the top of the stack. [-0, +0, m]
void OpenTrain(lua_State* L);

}  // namespace lanthorn::lua
