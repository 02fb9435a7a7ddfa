#include "bindings/train/event_file.h"

#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"

namespace lanthorn::lua {
namespace {

std::shared_ptr<TensorBoardWriter> EventFile(const std::string& path, double wall_time) {
  return Value(TensorBoardWriter::Create(path, wall_time));
}

const std::vector<FunctionRow> kFunctions = {
    {"event_file", "path, wall_time", "Makes a TensorBoard event file that begins at this time in unix seconds.",
     Typed<&EventFile>}};
const std::vector<FunctionRow> kMethods = {
    {"EventFile:write", "line", "Adds the numbers of a metrics line as scalars.", Typed<&TensorBoardWriter::Write>}};

}  // namespace

void OpenEventFile(lua_State* L) {
  RegisterRows(L, "run", kFunctions);
  DefineType<TensorBoardWriter>(L);
  RegisterRows(L, "run", kMethods);
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua
