// Records of the training loop as Lua tables; values that do not exist are absent.
#pragma once

#include "bindings/lua/json.h"
#include "engine/train/trainer.h"

namespace lanthorn::lua {

LANTHORN_LUA_RECORD(train::EvalRecord);
LANTHORN_LUA_RECORD(train::EpochRecord);
LANTHORN_LUA_RECORD(train::StepRecord);
LANTHORN_LUA_RECORD(train::FitResult);
LANTHORN_LUA_RECORD(train::Measurement);
LANTHORN_LUA_RECORD(train::Warning);
LANTHORN_LUA_RECORD(train::Rollback);
LANTHORN_LUA_RECORD(train::Restored);

}  // namespace lanthorn::lua
