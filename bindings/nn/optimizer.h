// Optimisers in Lua.
#pragma once

#include "bindings/lua/userdata.h"
#include "engine/optim/optimizer.h"

namespace lanthorn::lua {

LANTHORN_LUA_TYPE(optim::Optimizer, "optim.Optimizer");

}  // namespace lanthorn::lua
