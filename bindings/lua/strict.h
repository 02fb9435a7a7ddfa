// Tables whose members are known: a name that they do not have is an error.
#pragma once

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

// Makes t.Typo of the table on the top of the stack an error that names the nearest member; `name` is what messages
// call the table. [-0, +0, m]
void MakeStrict(lua_State* L, const char* name);

}  // namespace lanthorn::lua
