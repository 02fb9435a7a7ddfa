// Run directories in Lua.
#pragma once

#include "bindings/lua/userdata.h"
#include "engine/run/run_directory.h"

namespace lanthorn::lua {

LANTHORN_LUA_TYPE(RunDirectory, "run.Run");

// Adds `run` to the module table on the top of the stack. [-0, +0, m]
void OpenRun(lua_State* L);

}  // namespace lanthorn::lua
