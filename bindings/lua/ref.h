// A Lua value held from C++ by a reference in the registry.
#pragma once

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

inline constexpr char kAnchoredState[] = "lanthorn.state";

// Remembers the calling thread in the registry, so that it is never collected. [-0, +0, m]
inline void AnchorState(lua_State* L) {
  lua_pushthread(L);
  lua_setfield(L, LUA_REGISTRYINDEX, kAnchoredState);
}

// A thread that lives as long as the VM: a reference may outlive the coroutine that made it. [-0, +0, -]
inline lua_State* AnchoredState(lua_State* L) {
  lua_getfield(L, LUA_REGISTRYINDEX, kAnchoredState);
  lua_State* anchored = lua_tothread(L, -1);
  lua_pop(L, 1);
  return anchored != nullptr ? anchored : L;
}

class Ref {
 public:
  Ref() = default;
  // Takes the value from the top of the stack. [-1, +0, m]
  explicit Ref(lua_State* L) : L_(AnchoredState(L)), ref_(luaL_ref(L, LUA_REGISTRYINDEX)) {}
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
