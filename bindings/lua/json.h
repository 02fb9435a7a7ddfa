// Lua values as JSON and back.
#pragma once

#include <nlohmann/json.hpp>

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

// The value at `index`. A table with a list part is an array, any other an object with string keys; whole numbers
// become integers. Functions, userdata and cycles (depth above 64) raise. [-0, +0, e]
nlohmann::json ReadJson(lua_State* L, int index, int depth = 0);

}  // namespace lanthorn::lua
