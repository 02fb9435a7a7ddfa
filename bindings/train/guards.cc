// Guards of the loop in Lua: their options, the terms of a loss, and the events that callbacks take part in.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "bindings/lua/fields.h"
#include "bindings/lua/function.h"
#include "bindings/lua/json.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/lua_callback.h"
#include "bindings/train/run.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {
namespace {

std::shared_ptr<LuaTrainer> Self(lua_State* L, const char* method) {
  auto self = CheckObject<LuaTrainer>(L, 1, method);
  self->L = L;
  return self;
}

// Asks a Lua function before an update; 'skip' leaves it out.
class LuaBeforeUpdate final : public train::Observer {
 public:
  explicit LuaBeforeUpdate(LuaCallback callback) : callback_(std::move(callback)) {}

  train::Phase phase() const override { return train::Phase::kCallbacks; }

  absl::Status BeforeUpdate(const train::StepRecord& record, bool* skip) override {
    return callback_.Call(
        LuaCallback::Tensors::kEnd, [&](lua_State* L) { PushStep(L, record); }, 1,
        [&](lua_State* L, int first) { *skip = *skip || TextAt(L, first) == "skip"; });
  }

 private:
  LuaCallback callback_;
};

// Gives Lua back what its side had when the checkpoint was made.
class LuaRollback final : public train::Observer {
 public:
  explicit LuaRollback(LuaCallback callback) : callback_(std::move(callback)) {}

  absl::Status OnRollback(const train::Rollback& rollback) override {
    callback_.ClearProgress();
    return callback_.Call(LuaCallback::Tensors::kStay, [&](lua_State* L) {
      PushJson(L, {{"step", rollback.step},
                   {"from_step", rollback.from_step},
                   {"lr_factor", rollback.lr_factor},
                   {"extra", rollback.extra}});
    });
  }

 private:
  LuaCallback callback_;
};

template <typename T>
int AddFunction(lua_State* L, const char* method) {
  const auto self = Self(L, method);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  self->trainer->AddObserver(std::make_shared<T>(LuaCallback(self.get(), Ref(L))));
  return 0;
}

int BeforeUpdate(lua_State* L) { return AddFunction<LuaBeforeUpdate>(L, "before_update"); }
int OnRollback(lua_State* L) { return AddFunction<LuaRollback>(L, "on_rollback"); }

int DumpTo(lua_State* L) {
  Self(L, "dump_to")->trainer->DumpTo(CheckObject<RunDirectory>(L, 2, "dump_to")->path() + "/dumps");
  return 0;
}

const std::vector<FunctionRow> kMethods = {
    {"Trainer:before_update", "(function f) -> ()",
     "Calls f(record) when the gradients of an update are there; 'skip' leaves the update out.", &Thunk<&BeforeUpdate>},
    {"Trainer:on_rollback", "(function f) -> ()",
     "Calls f({step=, from_step=, lr_factor=, extra=}) when a diverged training went back to a checkpoint.",
     &Thunk<&OnRollback>},
    {"Trainer:dump_to", "(Run run) -> ()", "Keeps an update that is not finite in the run's dumps/.", &Thunk<&DumpTo>},
};

}  // namespace

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

train::GuardOptions ReadGuards(lua_State* L) {
  train::GuardOptions guards;
  lua_getfield(L, 1, "guards");
  ReadFields(L, lua_gettop(L), "guards", guards);
  lua_settop(L, 1);
  if (!(guards.rollback_factor > 0 && guards.rollback_factor <= 1))
    Check(
        ConfigError(absl::StrCat("train.rollback_factor must be above 0 and at most 1, got ", guards.rollback_factor)));
  return guards;
}

void AddGuardMethods(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
