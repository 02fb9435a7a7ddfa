// What a training tells the outside while it runs, and hears from it: signals, stacks, progress for the watchdog.
#include "bindings/lua/function.h"
#include "bindings/train/run.h"
#include "bindings/train/trainer.h"
#include "engine/run/stack_dump.h"

namespace lanthorn::lua {
namespace {

std::shared_ptr<LuaTrainer> Self(lua_State* L, const char* method) { return CheckObject<LuaTrainer>(L, 1, method); }

int Watch(lua_State* L) {
  const auto self = Self(L, "watch");
  self->signals = std::make_unique<train::SignalScope>();
  if (lua_isnoneornil(L, 2)) {
    lua_pushnil(L);
    return 1;
  }
  const auto run = CheckObject<RunDirectory>(L, 2, "watch: run");
  SetStackDumpFolder(run->path());
  auto file = ProgressFile::Create(run->path() + "/.progress");
  if (!file.ok()) {
    lua_pushstring(L, MessageOf(file.status()).c_str());
    return 1;
  }
  self->life = std::make_shared<train::RunProgress>(*std::move(file));
  self->trainer->AddObserver(self->life);
  lua_pushnil(L);
  return 1;
}

int Phase(lua_State* L) {
  Self(L, "phase")->trainer->Announce(luaL_checkstring(L, 2));
  return 0;
}

int Tick(lua_State* L) {
  const auto self = Self(L, "tick");
  if (self->life != nullptr) self->life->Tick();
  return 0;
}

int StopRequested(lua_State* L) {
  const auto stop = Self(L, "stop_requested")->signals != nullptr ? train::StopRequested() : std::nullopt;
  if (!stop) {
    lua_pushnil(L);
    return 1;
  }
  lua_createtable(L, 0, 4);
  lua_pushstring(L, stop->state.c_str());
  lua_setfield(L, -2, "state");
  lua_pushstring(L, train::SignalName(stop->signal).c_str());
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, stop->signal);
  lua_setfield(L, -2, "signal");
  lua_pushinteger(L, stop->code);
  lua_setfield(L, -2, "code");
  return 1;
}

const std::vector<FunctionRow> kMethods = {
    {"Trainer:watch", "(Run? run=None) -> str?",
     "From here to close() signals ask the training to save or stop and, with a run, stacks of SIGQUIT go there and "
     ".progress tells what goes on; gives the reason where that file cannot be made.",
     &Thunk<&Watch>},
    {"Trainer:phase", "(str name) -> ()", "Tells observers what goes on: load, build, train, eval, save or report.",
     &Thunk<&Phase>},
    {"Trainer:tick", "() -> ()", "Shows life to the watchdog, in a callback that takes long.", &Thunk<&Tick>},
    {"Trainer:stop_requested", "() -> table?",
     "What a signal since watch() asks for: {state=, code=, signal=, name=}; nothing without one.",
     &Thunk<&StopRequested>},
};

}  // namespace

void RegisterWatch(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
