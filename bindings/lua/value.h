// One Lua value as a C++ value and back, by type: the only way in which typed functions (typed.h) meet the stack.
//
// ValueOf<T> says what the type is called in signatures, reads a value of that type, and pushes one. Types of tensors,
// modules and the like specialise it beside their userdata.
#pragma once

#include <cmath>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/lua/ref.h"
#include "bindings/lua/userdata.h"

namespace lanthorn::lua {

// Type():                     the word in signatures: "int".
// Expected(), optional:       what messages call it, where that says more.
// Misfit(L, index), optional: which part of a table does not fit: "entry 'x' must be Tensor, got nil". [-0, +0, -]
// Read(L, index, &value):     false where something else lies at the absolute index. [-0, +0, e]
// Push(L, value):             [-0, +1, m]
template <typename T>
struct ValueOf;

// What messages call a T.
template <typename T>
std::string ExpectedOf() {
  if constexpr (requires { ValueOf<T>::Expected(); }) {
    return ValueOf<T>::Expected();
  } else {
    return ValueOf<T>::Type();
  }
}

// Which part of the table at `index` keeps it from being a T; empty where a T has no parts, or it is no table.
template <typename T>
std::string MisfitOf(lua_State* L, int index) {
  if constexpr (requires { ValueOf<T>::Misfit(L, index); }) {
    if (lua_istable(L, index)) return ValueOf<T>::Misfit(L, index);
  }
  return "";
}

template <>
struct ValueOf<bool> {
  static std::string Type() { return "bool"; }
  static bool Read(lua_State* L, int index, bool* value) {
    *value = lua_toboolean(L, index) != 0;
    return lua_isboolean(L, index);
  }
  static void Push(lua_State* L, bool value) { lua_pushboolean(L, value); }
};

template <std::integral T>
struct ValueOf<T> {
  static std::string Type() { return "int"; }
  static bool Read(lua_State* L, int index, T* value) {
    constexpr double kExact = 9007199254740992.0;  // 2^53
    const double number = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : NAN;
    if (std::floor(number) != number || std::abs(number) > kExact) return false;
    *value = static_cast<T>(number);
    return static_cast<double>(*value) == number;
  }
  static void Push(lua_State* L, T value) { lua_pushnumber(L, static_cast<double>(value)); }
};

// An enumeration by the words that its FromText knows.
template <typename T>
requires std::is_enum_v<T>
struct ValueOf<T> {
  static std::string Type() { return "str"; }
  static std::string Expected() { return "one of its words"; }
  static bool Read(lua_State* L, int index, T* value) {
    return lua_type(L, index) == LUA_TSTRING && FromText(lua_tostring(L, index), value);
  }
};

template <std::floating_point T>
struct ValueOf<T> {
  static std::string Type() { return "float"; }
  static bool Read(lua_State* L, int index, T* value) {
    *value = static_cast<T>(lua_tonumber(L, index));
    return lua_type(L, index) == LUA_TNUMBER;
  }
  static void Push(lua_State* L, T value) { lua_pushnumber(L, static_cast<double>(value)); }
};

template <>
struct ValueOf<std::string> {
  static std::string Type() { return "str"; }
  static bool Read(lua_State* L, int index, std::string* value) {
    if (lua_type(L, index) != LUA_TSTRING) return false;
    size_t size = 0;
    const char* text = lua_tolstring(L, index, &size);
    value->assign(text, size);
    return true;
  }
  static void Push(lua_State* L, const std::string& value) { lua_pushlstring(L, value.data(), value.size()); }
};

template <>
struct ValueOf<const char*> {
  static std::string Type() { return "str"; }
  static void Push(lua_State* L, const char* value) { lua_pushstring(L, value); }
};

// nil is a value.
template <typename T>
struct ValueOf<std::optional<T>> {
  static std::string Type() { return ValueOf<T>::Type() + "?"; }
  static std::string Expected() { return ExpectedOf<T>() + "?"; }
  static std::string Misfit(lua_State* L, int index) { return MisfitOf<T>(L, index); }
  static bool Read(lua_State* L, int index, std::optional<T>* value) {
    if (lua_isnoneornil(L, index)) return true;
    return ValueOf<T>::Read(L, index, &value->emplace());
  }
  static void Push(lua_State* L, const std::optional<T>& value) {
    value ? ValueOf<T>::Push(L, *value) : lua_pushnil(L);
  }
};

template <typename T>
struct ValueOf<std::vector<T>> {
  static std::string Type() { return ValueOf<T>::Type() + "[]"; }
  static bool Read(lua_State* L, int index, std::vector<T>* values) {
    if (!lua_istable(L, index)) return false;
    for (int i = 1, count = static_cast<int>(lua_objlen(L, index)); i <= count; ++i) {
      lua_rawgeti(L, index, i);
      T value{};
      const bool fits = ValueOf<T>::Read(L, lua_gettop(L), &value);
      lua_pop(L, 1);
      if (!fits) return false;
      values->push_back(std::move(value));
    }
    return true;
  }
  static void Push(lua_State* L, const std::vector<T>& values) {
    lua_createtable(L, static_cast<int>(values.size()), 0);
    int at = 0;
    for (const auto& value : values) {
      ValueOf<T>::Push(L, value);
      lua_rawseti(L, -2, ++at);
    }
  }
};

// {name = value}.
template <typename T>
struct ValueOf<std::map<std::string, T>> {
  static std::string Type() { return "table"; }
  static std::string Misfit(lua_State* L, int index) {
    const int top = lua_gettop(L);
    std::string found;
    for (lua_pushnil(L); found.empty() && lua_next(L, index) != 0; lua_pop(L, 1)) {
      T value{};
      if (lua_type(L, -2) != LUA_TSTRING) {
        found = "names must be strings, got " + Describe(L, lua_gettop(L) - 1);
      } else if (!ValueOf<T>::Read(L, lua_gettop(L), &value)) {
        found = std::string("entry '") + lua_tostring(L, -2) + "' must be " + ExpectedOf<T>() + ", got " +
                Describe(L, lua_gettop(L));
      }
    }
    lua_settop(L, top);
    return found;
  }
  static bool Read(lua_State* L, int index, std::map<std::string, T>* values) {
    if (!lua_istable(L, index)) return false;
    bool fits = true;
    for (lua_pushnil(L); fits && lua_next(L, index) != 0; lua_pop(L, 1)) {
      T value{};
      fits = lua_type(L, -2) == LUA_TSTRING && ValueOf<T>::Read(L, lua_gettop(L), &value);
      if (fits) values->emplace(lua_tostring(L, -2), std::move(value));
    }
    if (!fits) lua_pop(L, 1);
    return fits;
  }
  static void Push(lua_State* L, const std::map<std::string, T>& values) {
    lua_createtable(L, 0, static_cast<int>(values.size()));
    for (const auto& [name, value] : values) {
      ValueOf<T>::Push(L, value);
      lua_setfield(L, -2, name.c_str());
    }
  }
};

// {{name, value}, ...} in C++ is {name = value} in Lua.
template <typename T>
struct ValueOf<std::vector<std::pair<std::string, T>>> {
  static std::string Type() { return "table"; }
  static void Push(lua_State* L, const std::vector<std::pair<std::string, T>>& values) {
    lua_createtable(L, 0, static_cast<int>(values.size()));
    for (const auto& [name, value] : values) {
      ValueOf<T>::Push(L, value);
      lua_setfield(L, -2, name.c_str());
    }
  }
};

// A native object; signatures call it by the last word of its name: "Text" of "data.Text".
template <typename T>
struct ValueOf<std::shared_ptr<T>> {
  static std::string Type() {
    const std::string name = TypeName<T>::kName;
    return name.substr(name.rfind('.') + 1);
  }
  static bool Read(lua_State* L, int index, std::shared_ptr<T>* value) {
    *value = ToObject<T>(L, index);
    return *value != nullptr;
  }
  static void Push(lua_State* L, std::shared_ptr<T> value) { PushObject(L, std::move(value)); }
};

// A function written in Lua, kept from now on.
struct LuaFunction {
  Ref ref;
};
template <>
struct ValueOf<LuaFunction> {
  static std::string Type() { return "function"; }
  static bool Read(lua_State* L, int index, LuaFunction* value) {
    if (!lua_isfunction(L, index)) return false;
    lua_pushvalue(L, index);
    value->ref = Ref(L);
    return true;
  }
};

// Any value, where it lies.
struct Anything {
  int index = 0;
};
template <>
struct ValueOf<Anything> {
  static std::string Type() { return ""; }
  static bool Read(lua_State*, int index, Anything* value) {
    value->index = index;
    return true;
  }
};

// Declares that a record of the engine is given to Lua as a table; the Push is defined beside.
#define LANTHORN_LUA_RECORD(Record)                       \
  template <>                                             \
  struct ValueOf<Record> {                                \
    static std::string Type() { return "table"; }         \
    static void Push(lua_State* L, const Record& record); \
  }

template <typename T>
void Push(lua_State* L, const T& value) {
  ValueOf<T>::Push(L, value);
}

// A table in the making, on the top of the stack; what is empty or nil is absent. [-0, +1, m]
class NewTable {
 public:
  explicit NewTable(lua_State* L) : L_(L) { lua_newtable(L); }

  template <typename T>
  NewTable& Set(const char* name, const T& value) {
    ValueOf<std::decay_t<const T>>::Push(L_, value);
    lua_setfield(L_, -2, name);
    return *this;
  }
  template <typename T>
  NewTable& SetIf(bool present, const char* name, const T& value) {
    return present ? Set(name, value) : *this;
  }

 private:
  lua_State* L_;
};

}  // namespace lanthorn::lua
