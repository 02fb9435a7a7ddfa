// The table `diagnostics`: what `runner doctor` and `runner bench` ask the engine.
#pragma once

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

// Adds `diagnostics` to the module table on the top of the stack. [-0, +0, m]
void OpenDiagnostics(lua_State* L);

}  // namespace lanthorn::lua
