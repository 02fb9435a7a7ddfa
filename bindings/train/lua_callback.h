// A Lua function that a training calls with one value, as its observers do.
#pragma once

#include <optional>

#include "bindings/lua/thunk.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {

class LuaCallback {
 public:
  LuaCallback(LuaTrainer* owner, Ref function) : owner_(owner), function_(std::move(function)) {}

  // Whether tensors made during a call end with it.
  enum class Tensors { kEnd, kStay };

  // Calls the function with the value that push(L) leaves on the stack; where that went well, read(L, first) finds
  // `results` values from stack index `first` on.
  template <typename Push, typename Read>
  absl::Status Call(Tensors tensors, const Push& push, int results, const Read& read) const {
    lua_State* L = owner_->L;
    const int top = lua_gettop(L);
    std::optional<ScopeGuard> scope;
    if (tensors == Tensors::kEnd) scope.emplace(L);
    function_.Push(L);
    push(L);
    const absl::Status status = CallLua(L, 1, results);
    if (status.ok()) read(L, top + 1);
    if (scope) scope->End(0);
    lua_settop(L, top);
    return status;
  }
  // The same for a function whose results nobody reads.
  template <typename Push>
  absl::Status Call(Tensors tensors, const Push& push) const {
    return Call(tensors, push, 0, [](lua_State*, int) {});
  }

  // Takes the bar off the screen, since the function may print.
  void ClearProgress() const {
    if (owner_->progress != nullptr) owner_->progress->Clear();
  }

 private:
  LuaTrainer* owner_;
  Ref function_;
};

// The text at this stack index; empty where it is not text. [-0, +0, -]
inline std::string TextAt(lua_State* L, int index) {
  return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
}

}  // namespace lanthorn::lua
