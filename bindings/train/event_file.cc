#include "bindings/train/event_file.h"

#include "bindings/lua/function.h"
#include "bindings/lua/json.h"

namespace lanthorn::lua {
namespace {

int EventFile(lua_State* L) {
  std::shared_ptr<TensorBoardWriter> writer =
      Value(TensorBoardWriter::Create(luaL_checkstring(L, 1), luaL_checknumber(L, 2)));
  PushObject(L, writer);
  return 1;
}

int Write(lua_State* L) {
  Check(CheckObject<TensorBoardWriter>(L, 1, "write")->Write(ReadJson(L, 2)));
  return 0;
}

const std::vector<FunctionRow> kFunctions = {
    {"event_file", "(str path, float wall_time) -> EventFile",
     "Makes a TensorBoard event file that begins at this time in unix seconds.", &Thunk<&EventFile>}};
const std::vector<FunctionRow> kMethods = {
    {"EventFile:write", "(table line) -> ()", "Adds the numbers of a metrics line as scalars.", &Thunk<&Write>}};

}  // namespace

void OpenEventFile(lua_State* L) {
  RegisterRows(L, "run", kFunctions);
  DefineType<TensorBoardWriter>(L);
  RegisterRows(L, "run", kMethods);
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua
