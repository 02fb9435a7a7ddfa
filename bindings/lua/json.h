// Lua values as JSON and back.
#pragma once

#include <nlohmann/json.hpp>

#include "bindings/lua/value.h"

namespace lanthorn::lua {

// The value at `index`. A table with a list part is an array, any other an object with string keys; whole numbers
// become integers. Functions, userdata and cycles (depth above 64) raise. [-0, +0, e]
nlohmann::json ReadJson(lua_State* L, int index, int depth = 0);

// Pushes the value: objects and arrays as tables, null as nil, so that a null field is absent. [-0, +1, m]
void PushJson(lua_State* L, const nlohmann::json& value);

// As an argument it is a table.
template <>
struct ValueOf<nlohmann::json> {
  static std::string Type() { return "table"; }
  static bool Read(lua_State* L, int index, nlohmann::json* value) {
    if (!lua_istable(L, index)) return false;
    *value = ReadJson(L, index);
    return true;
  }
  static void Push(lua_State* L, const nlohmann::json& value) { PushJson(L, value); }
};

}  // namespace lanthorn::lua
