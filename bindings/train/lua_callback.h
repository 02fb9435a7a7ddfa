// A Lua function that a training calls with one value, as its observers do.
#pragma once

#include <optional>

#include "bindings/lua/running.h"
#include "bindings/lua/thunk.h"
#include "bindings/lua/value.h"
#include "bindings/tensor/tensor.h"

namespace lanthorn::lua {

class LuaCallback {
 public:
  explicit LuaCallback(LuaFunction function) : function_(std::move(function)) {}

  // Whether tensors made during a call end with it.
  enum class Tensors { kEnd, kStay };

  // Calls the function with the value; where that went well, read(L, first) finds `results` values from stack index
  // `first` on.
  template <typename T, typename Read>
  absl::Status Call(Tensors tensors, const T& value, int results, const Read& read) const {
    lua_State* L = RunningState();
    const int top = lua_gettop(L);
    std::optional<ScopeGuard> scope;
    if (tensors == Tensors::kEnd) scope.emplace(L);
    function_.ref.Push(L);
    Push(L, value);
    const absl::Status status = CallLua(L, 1, results);
    if (status.ok()) read(L, top + 1);
    if (scope) scope->End(0);
    lua_settop(L, top);
    return status;
  }
  // The same for a function whose results nobody reads.
  template <typename T>
  absl::Status Call(Tensors tensors, const T& value) const {
    return Call(tensors, value, 0, [](lua_State*, int) {});
  }

 private:
  LuaFunction function_;
};

// The text at this stack index; empty where it is not text. [-0, +0, -]
inline std::string TextAt(lua_State* L, int index) {
  return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
}

}  // namespace lanthorn::lua
