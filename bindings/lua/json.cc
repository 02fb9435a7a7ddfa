#include "bindings/lua/json.h"

#include <cmath>

#include "bindings/lua/userdata.h"

namespace lanthorn::lua {

nlohmann::json ReadJson(lua_State* L, int index, int depth) {
  if (index < 0) index = lua_gettop(L) + index + 1;
  switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TNONE:
      return nullptr;
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) != 0;
    case LUA_TSTRING: {
      size_t length = 0;
      const char* text = lua_tolstring(L, index, &length);
      return std::string(text, length);
    }
    case LUA_TNUMBER: {
      const double value = lua_tonumber(L, index);
      if (std::floor(value) == value && std::abs(value) < 9007199254740992.0) return static_cast<int64_t>(value);
      return value;
    }
    case LUA_TTABLE:
      break;
    default:
      throw UsageError("cannot write " + Describe(L, index) + " as JSON");
  }
  if (depth > 64) throw UsageError("cannot write a table as JSON: nested too deeply, or it contains itself");
  luaL_checkstack(L, 4, "JSON");
  if (const size_t length = lua_objlen(L, index); length > 0) {
    nlohmann::json list = nlohmann::json::array();
    for (size_t i = 1; i <= length; ++i) {
      lua_rawgeti(L, index, static_cast<int>(i));
      list.push_back(ReadJson(L, -1, depth + 1));
      lua_pop(L, 1);
    }
    return list;
  }
  nlohmann::json object = nlohmann::json::object();
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING)
      throw UsageError("cannot write a table as JSON: key " + Describe(L, lua_gettop(L) - 1));
    object[lua_tostring(L, -2)] = ReadJson(L, -1, depth + 1);
    lua_pop(L, 1);
  }
  return object;
}

void PushJson(lua_State* L, const nlohmann::json& value) {
  luaL_checkstack(L, 4, "JSON");
  if (value.is_boolean()) {
    lua_pushboolean(L, value.get<bool>());
  } else if (value.is_number()) {
    lua_pushnumber(L, value.get<double>());
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    lua_pushlstring(L, text.data(), text.size());
  } else if (value.is_array()) {
    lua_createtable(L, static_cast<int>(value.size()), 0);
    for (size_t i = 0; i < value.size(); ++i) {
      PushJson(L, value[i]);
      lua_rawseti(L, -2, static_cast<int>(i) + 1);
    }
  } else if (value.is_object()) {
    lua_createtable(L, 0, static_cast<int>(value.size()));
    for (const auto& [key, item] : value.items()) {
      PushJson(L, item);
      lua_setfield(L, -2, key.c_str());
    }
  } else {
    lua_pushnil(L);
  }
}

}  // namespace lanthorn::lua
