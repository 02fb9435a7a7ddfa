#include "bindings/lua/userdata.h"

#include <cmath>

#include "bindings/tensor/tensor.h"

namespace lanthorn::lua {

bool HasType(lua_State* L, int index, const char* name) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return false;
  luaL_getmetatable(L, name);
  const bool same = lua_rawequal(L, -1, -2) != 0;
  lua_pop(L, 2);
  return same;
}

int64_t CheckWhole(lua_State* L, int index, const char* what) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  const double value = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : NAN;
  if (std::floor(value) == value && std::abs(value) <= kExact) return static_cast<int64_t>(value);
  throw UsageError(std::string(what) + ": expected a whole number, got " + Describe(L, index));
}

std::string Describe(lua_State* L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNONE:
      return "nothing";
    case LUA_TNIL:
      return "nil";
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) ? "true" : "false";
    case LUA_TNUMBER: {
      lua_pushvalue(L, index);
      std::string text = std::string("number ") + lua_tostring(L, -1);
      lua_pop(L, 1);
      return text;
    }
    case LUA_TSTRING:
      return std::string("string '") + std::string(lua_tostring(L, index)).substr(0, 40) + "'";
    case LUA_TTABLE: {
      const size_t length = lua_objlen(L, index);
      return length == 0 ? "table" : "table of " + std::to_string(length);
    }
    case LUA_TUSERDATA:
      break;
    default:
      return luaL_typename(L, index);
  }
  if (TensorBox* box = ToTensorBox(L, index))
    return box->freed ? "Tensor (freed)" : "Tensor " + TensorLabel(box->tensor);
  std::string name = "userdata";
  if (luaL_getmetafield(L, index, "__name")) {
    name = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return name;
}

void PushNames(lua_State* L, const std::vector<std::string>& names) {
  lua_createtable(L, static_cast<int>(names.size()), 0);
  for (size_t i = 0; i < names.size(); ++i) {
    lua_pushlstring(L, names[i].data(), names[i].size());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

}  // namespace lanthorn::lua
