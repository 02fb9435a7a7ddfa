// TensorBoard event files in Lua, for runs that are over.
#pragma once

#include "bindings/lua/userdata.h"
#include "engine/run/metrics/tensorboard_writer.h"

namespace lanthorn::lua {

LANTHORN_LUA_TYPE(TensorBoardWriter, "run.EventFile");

// Adds the rows for event files to the table `run` on the top of the stack. [-0, +0, m]
void OpenEventFile(lua_State* L);

}  // namespace lanthorn::lua
