// lanthorn.so: `require 'lanthorn'` gives {torch, nn, optim, tscore, ...}; any LuaJIT program can load it.
#include "bindings/nn/module.h"

#include "bindings/data/data.h"
#include "bindings/diagnostics.h"
#include "bindings/lua/function.h"
#include "bindings/lua/ref.h"
#include "bindings/lua/running.h"
#include "bindings/torch.h"
#include "bindings/train/run.h"
#include "bindings/train/trainer.h"
#include "bindings/tscore.h"

namespace lanthorn::lua {
namespace {

int ApiList(lua_State* L) {
  lua_newtable(L);
  int at = 0;
  for (const ApiRow& row : Api()) {
    lua_createtable(L, 0, 5);
    for (auto [name, text] : {std::pair{"module", &row.module},
                              {"name", &row.name},
                              {"signature", &row.signature},
                              {"doc", &row.doc},
                              {"example", &row.example}}) {
      lua_pushlstring(L, text->data(), text->size());
      lua_setfield(L, -2, name);
    }
    lua_rawseti(L, -2, ++at);
  }
  return 1;
}

}  // namespace
}  // namespace lanthorn::lua

namespace lanthorn::lua {
namespace {
int Open(lua_State* L) {
  Api().clear();
  AnchorState(L);
  AddLuaStackToDumps(L);
  lua_newtable(L);
  OpenTorch(L);
  lua_setfield(L, -2, "torch");
  OpenNn(L);
  OpenOptim(L);
  OpenTScore(L);
  OpenData(L);
  OpenRun(L);
  OpenTrain(L);
  OpenCheckpoints(L);
  OpenDiagnostics(L);
  lua_pushcfunction(L, &Thunk<&ApiList>);
  lua_setfield(L, -2, "api");
  lua_pushliteral(L, LANTHORN_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
}  // namespace
}  // namespace lanthorn::lua

extern "C" __attribute__((visibility("default"))) int luaopen_lanthorn(lua_State* L) {
  return lanthorn::lua::CallGuarded(L, &lanthorn::lua::Open);
}
