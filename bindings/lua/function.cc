#include "bindings/lua/function.h"

namespace lanthorn::lua {

std::vector<ApiRow>& Api() {
  static std::vector<ApiRow> rows;
  return rows;
}

void RegisterRows(lua_State* L, const std::string& module, const std::vector<FunctionRow>& rows) {
  for (const FunctionRow& row : rows) {
    const std::string name(row.name);
    const size_t colon = name.find(':');
    lua_pushcfunction(L, row.function.call);
    lua_setfield(L, -2, colon == std::string::npos ? row.name : row.name + colon + 1);
    const std::string who = colon == std::string::npos ? module + "." + name : name;
    const std::string signature =
        row.function.describe != nullptr ? row.function.describe(who, row.arguments) : row.arguments;
    Api().push_back({module, name, signature, row.doc, row.example});
  }
}

}  // namespace lanthorn::lua
