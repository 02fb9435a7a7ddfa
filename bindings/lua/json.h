// Lua values as JSON and back.
#pragma once

#include <nlohmann/json.hpp>

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

// The value at `index`. A table with a list part is an array, any other an object with string keys; whole numbers
// become integers. Functions, userdata and cycles (depth above 64) raise. [-0, +0, e]
nlohmann::json ReadJson(lua_State* L, int index, int depth = 0);

// Pushes the value: objects and arrays as tables, null as nil, so that a null field is absent. [-0, +1, m]
void PushJson(lua_State* L, const nlohmann::json& value);

}  // namespace lanthorn::lua
