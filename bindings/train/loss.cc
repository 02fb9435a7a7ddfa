// The loss of a training that is written in Lua.
#include <ATen/ops/scalar_tensor.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "bindings/lua/running.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {
namespace {

// The terms of a loss: {name = Tensor, number, or {value =, monitor =}}, by name. A number is a monitor.
absl::Status ReadLossTerms(lua_State* L, int index, std::vector<train::LossTerm>* terms) {
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) return Error(ExitCode::kScript, "train: a loss term needs a name");
    train::LossTerm term{lua_tostring(L, -2), {}, false};
    const int value = lua_gettop(L);
    int holder = value;
    if (lua_istable(L, value)) {
      lua_getfield(L, value, "monitor");
      term.monitor = lua_toboolean(L, -1) != 0;
      lua_getfield(L, value, "value");
      holder = lua_gettop(L);
    }
    if (lua_type(L, holder) == LUA_TNUMBER) {
      term.value = at::scalar_tensor(lua_tonumber(L, holder), c10::kDouble);
      term.monitor = true;
    } else if (TensorBox* box = ToTensorBox(L, holder)) {
      term.value = box->tensor;
    } else {
      return Error(ExitCode::kScript,
                   absl::StrCat("train: the loss term '", term.name,
                                "' must be a Tensor, a number or { value =, monitor = }, got ", Describe(L, holder)));
    }
    lua_settop(L, value);
    terms->push_back(std::move(term));
  }
  std::sort(terms->begin(), terms->end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<train::Loss> CallLoss(LuaTrainer* owner, const data::Batch& batch) {
  lua_State* L = RunningState();
  const int top = lua_gettop(L);
  ScopeGuard scope(L);
  owner->loss.Push(L);
  PushTensor(L, batch.x);
  PushTensor(L, batch.y);
  absl::Status status = CallLua(L, 2, 3);
  train::Loss loss;
  std::string given;
  if (status.ok()) {
    if (TensorBox* box = ToTensorBox(L, top + 1)) loss.mean = box->tensor;
    given = Describe(L, top + 1);
    loss.targets = lua_type(L, top + 2) == LUA_TNUMBER ? static_cast<int64_t>(lua_tonumber(L, top + 2))
                                                       : train::CountTargets(batch.y);
    if (lua_istable(L, top + 3)) status = ReadLossTerms(L, top + 3, &loss.terms);
  }
  scope.End(0);
  lua_settop(L, top);
  if (!status.ok()) return status;
  if (!loss.mean.defined())
    return Error(ExitCode::kScript, "train: the loss function must return a Tensor, got " + given);
  return loss;
}

}  // namespace lanthorn::lua
