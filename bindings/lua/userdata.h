// Native objects in Lua: a full userdata holding a std::shared_ptr, one metatable per C++ type.
#pragma once

#include <memory>
#include <new>
#include <string>

#include "bindings/lua/lua.h"
#include "bindings/lua/thunk.h"

namespace lanthorn::lua {

// The name under which a type's metatable lies in the registry; also the word used in messages.
template <typename T>
struct TypeName;

#define LANTHORN_LUA_TYPE(Type, name)     \
  template <>                             \
  struct TypeName<Type> {                 \
    static constexpr char kName[] = name; \
  }

// What lies at `index`, for messages: "nil", "number 3", "Tensor float32 {2, 3}", "nn.Module". [-0, +0, -]
std::string Describe(lua_State* L, int index);

// The whole number at `index`, for an index, a length or a count. Raises on anything else, such as 2.5. [-0, +0, e]
int64_t CheckWhole(lua_State* L, int index, const char* what);

// True when the value is a userdata with the registry metatable `name`. [-0, +0, -]
bool HasType(lua_State* L, int index, const char* name);

// Wraps `object`; its metatable must have been made by DefineType. [-0, +1, m]
template <typename T>
void PushObject(lua_State* L, std::shared_ptr<T> object) {
  void* memory = lua_newuserdata(L, sizeof(std::shared_ptr<T>));
  new (memory) std::shared_ptr<T>(std::move(object));
  luaL_getmetatable(L, TypeName<T>::kName);
  lua_setmetatable(L, -2);
}

// The object at `index`, or nullptr when it is something else. [-0, +0, -]
template <typename T>
std::shared_ptr<T> ToObject(lua_State* L, int index) {
  if (!HasType(L, index, TypeName<T>::kName)) return nullptr;
  return *static_cast<std::shared_ptr<T>*>(lua_touserdata(L, index));
}

// The object at `index`; raises naming the argument. [-0, +0, e]
template <typename T>
std::shared_ptr<T> CheckObject(lua_State* L, int index, const char* what) {
  if (auto object = ToObject<T>(L, index)) return object;
  throw UsageError(std::string(what) + ": expected " + TypeName<T>::kName + ", got " + Describe(L, index));
}

template <typename T>
int CollectObject(lua_State* L) {
  using Holder = std::shared_ptr<T>;
  static_cast<Holder*>(lua_touserdata(L, 1))->~Holder();
  return 0;
}

// tostring of an object that has nothing better to say: its type's name, upvalue 1. [-0, +1, m]
inline int NameOfObject(lua_State* L) {
  lua_pushfstring(L, "<%s>", lua_tostring(L, lua_upvalueindex(1)));
  return 1;
}

// Pushes a list of strings. [-0, +1, m]
void PushNames(lua_State* L, const std::vector<std::string>& names);

// Makes the metatable of T with __gc and, as __index, the methods table which is left on the stack. [-0, +1, m]
template <typename T>
void DefineType(lua_State* L) {
  luaL_newmetatable(L, TypeName<T>::kName);
  lua_pushcfunction(L, &CollectObject<T>);
  lua_setfield(L, -2, "__gc");
  lua_pushstring(L, TypeName<T>::kName);
  lua_setfield(L, -2, "__name");
  lua_pushstring(L, TypeName<T>::kName);
  lua_pushcclosure(L, &NameOfObject, 1);
  lua_setfield(L, -2, "__tostring");
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_remove(L, -2);
}

}  // namespace lanthorn::lua
