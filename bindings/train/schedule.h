// The learning rate's schedule of a trainer, in Lua.
#pragma once

#include "bindings/lua/function.h"
#include "engine/optim/schedule.h"

namespace lanthorn::lua {

// The table `schedule` of the table at 1, or a constant schedule. [-0, +0, e]
optim::Schedule ReadSchedule(lua_State* L);

// The trainer's methods that ask for rates, in the method table on top. [-0, +0, m]
void AddScheduleMethods(lua_State* L);

}  // namespace lanthorn::lua
