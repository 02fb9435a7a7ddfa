// Optimisers in Lua.
#pragma once

#include "bindings/lua/userdata.h"
#include "engine/optim/optimizer.h"

namespace lanthorn::lua {

LANTHORN_LUA_TYPE(optim::Optimizer, "optim.Optimizer");

// Adds selective training to the table on the top of the stack. [-0, +0, m]
void RegisterSelection(lua_State* L);

}  // namespace lanthorn::lua
