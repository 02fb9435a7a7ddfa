// A Lua value held from C++ by a reference in the registry.
#pragma once

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

class Ref {
 public:
  Ref() = default;
  // Takes the value from the top of the stack. [-1, +0, m]
  explicit Ref(lua_State* L) : L_(L), ref_(luaL_ref(L, LUA_REGISTRYINDEX)) {}
  Ref(Ref&& other) noexcept : L_(other.L_), ref_(other.ref_) { other.L_ = nullptr; }
  Ref& operator=(Ref&& other) noexcept {
    std::swap(L_, other.L_);
    std::swap(ref_, other.ref_);
    return *this;
  }
  ~Ref() {
    if (L_ != nullptr) luaL_unref(L_, LUA_REGISTRYINDEX, ref_);
  }
  // Pushes the value, nil for an empty reference. [-0, +1, -]
  void Push(lua_State* L) const {
    if (L_ != nullptr) {
      lua_rawgeti(L, LUA_REGISTRYINDEX, ref_);
    } else {
      lua_pushnil(L);
    }
  }
  bool empty() const { return L_ == nullptr; }

 private:
  lua_State* L_ = nullptr;
  int ref_ = LUA_NOREF;
};

}  // namespace lanthorn::lua
