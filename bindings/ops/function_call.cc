#include "bindings/ops/function_call.h"

#include <torch/csrc/jit/frontend/function_schema_parser.h>

#include "bindings/lua/userdata.h"

namespace lanthorn::lua {

NamedSignature ParseSignature(const std::string& text) {
  return {text, ReadSignature(torch::jit::parseSchema(text + " -> ()"))};
}

std::string Misfit(const std::string& who, const NamedSignature& signature, const std::string& why) {
  const std::string name = signature.text.substr(0, signature.text.find('('));
  return who + name + ": " + why + " (" + who + signature.text + ")";
}

std::vector<c10::IValue> ReadCall(lua_State* L, int first, const NamedSignature& signature, const std::string& who) {
  Call call = SplitArguments(L, first);
  if (lua_gettop(L) == first && lua_istable(L, first)) {
    call = {L, lua_gettop(L) + 1, static_cast<int>(lua_objlen(L, first)), first};
    luaL_checkstack(L, call.count + 8, "too many arguments");
    for (int i = 1; i <= call.count; ++i) lua_rawgeti(L, first, i);
  }
  std::string why;
  if (MatchCost(call, signature.signature, &why) < 0) throw UsageError(Misfit(who, signature, why));
  std::vector<c10::IValue> values;
  ReadArguments(call, signature.signature, &values);
  return values;
}

}  // namespace lanthorn::lua
