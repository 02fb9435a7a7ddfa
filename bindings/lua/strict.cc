#include "bindings/lua/strict.h"

#include "bindings/lua/thunk.h"
#include "bindings/lua/userdata.h"
#include "engine/base/text/nearest.h"

namespace lanthorn::lua {
namespace {

// upvalue 1: what messages call the table.
int MissingMember(lua_State* L) {
  std::vector<std::string> names;
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) names.push_back(lua_tostring(L, -1));
  }
  const std::string name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : Describe(L, 2);
  throw UsageError(std::string(lua_tostring(L, lua_upvalueindex(1))) + " has no '" + name + "'" +
                   DidYouMean(name, names));
}
}  // namespace

void MakeStrict(lua_State* L, const char* name) {
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_pushcclosure(L, &Thunk<&MissingMember>, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

}  // namespace lanthorn::lua
