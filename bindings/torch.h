// The table `torch`.
#pragma once

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

// Pushes the table. [-0, +1, m]
void OpenTorch(lua_State* L);

}  // namespace lanthorn::lua
