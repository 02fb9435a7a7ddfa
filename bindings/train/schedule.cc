#include "bindings/train/schedule.h"

#include "bindings/ops/function_call.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {
namespace {

std::shared_ptr<LuaTrainer> Self(lua_State* L, const char* method) { return CheckObject<LuaTrainer>(L, 1, method); }

int Horizon(lua_State* L) {
  const auto self = Self(L, "horizon");
  if (!lua_isnoneornil(L, 2)) {
    optim::Schedule schedule = self->trainer->schedule();
    schedule.total = CheckWhole(L, 2, "horizon: update");
    Check(schedule.Validate());
    self->trainer->SetSchedule(schedule);
  }
  lua_pushnumber(L, static_cast<double>(self->trainer->schedule().total));
  return 1;
}

int Rate(lua_State* L) {
  const auto self = Self(L, "rate");
  optim::Schedule schedule = self->trainer->schedule();
  if (!lua_isnoneornil(L, 3)) schedule.total = CheckWhole(L, 3, "rate: horizon");
  Check(schedule.Validate());
  lua_pushnumber(L, self->trainer->base_rate() * schedule.Factor(CheckWhole(L, 2, "rate: updates")));
  return 1;
}

const std::vector<FunctionRow> kMethods = {
    {"Trainer:horizon", "(int? update=None) -> int",
     "The update at which the schedule ends; with a number it ends there from now on.", &Thunk<&Horizon>},
    {"Trainer:rate", "(int updates, int? horizon=None) -> float",
     "The learning rate of the first group after so many updates, should the schedule end at `horizon`.",
     &Thunk<&Rate>},
};

}  // namespace

optim::Schedule ReadSchedule(lua_State* L) {
  static const NamedSignature signature = ParseSignature(
      "schedule(str name='constant', int warmup=0, int total=0, int every=0, float gamma=0.1, float min_factor=0.)");
  optim::Schedule schedule;
  lua_getfield(L, 1, "schedule");
  if (!lua_isnil(L, -1)) {
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_insert(L, 2);
    lua_settop(L, 2);
    const std::vector<c10::IValue> a = ReadCall(L, 2, signature, "train.");
    schedule = {a[0].toStringRef(), a[1].toInt(), a[2].toInt(), a[3].toInt(), a[4].toDouble(), a[5].toDouble()};
  }
  lua_settop(L, 1);
  return schedule;
}

void AddScheduleMethods(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
