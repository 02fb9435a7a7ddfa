// The table `nn`: one function per registered layer, read by its signature.
#include "absl/strings/match.h"
#include "bindings/lua/function.h"
#include "bindings/lua/strict.h"
#include "bindings/nn/module.h"
#include "bindings/ops/function_call.h"
#include "engine/nn/layer.h"

namespace lanthorn::lua {
namespace {

// upvalue 1: the layer's number in the registry.
int NewLayer(lua_State* L) {
  static const std::vector<NamedSignature> signatures = [] {
    std::vector<NamedSignature> parsed;
    for (const nn::LayerSpec& spec : nn::Layers()) parsed.push_back(ParseSignature(spec.signature));
    return parsed;
  }();
  const size_t at = static_cast<size_t>(lua_tointeger(L, lua_upvalueindex(1)));
  const std::vector<c10::IValue> arguments = ReadCall(L, 1, signatures[at], "nn.");
  std::shared_ptr<nn::Module> module;
  try {
    module = nn::Layers()[at].make(arguments);
  } catch (const c10::Error& error) {  // a value out of range is a mistake in a config
    const std::string message = error.what_without_backtrace(), name = nn::Layers()[at].name(), tag = "[" + name + "] ";
    const size_t begin = absl::StartsWith(message, tag) ? tag.size() : 0;
    Check(ConfigError("nn." + name + ": " + message.substr(begin, message.find('\n') - begin)));
  }
  PushModule(L, module);
  return 1;
}

}  // namespace

void OpenNn(lua_State* L) {
  lua_newtable(L);
  OpenModule(L);
  RegisterParameters(L);
  for (size_t i = 0; i < nn::Layers().size(); ++i) {
    const nn::LayerSpec& spec = nn::Layers()[i];
    lua_pushinteger(L, static_cast<lua_Integer>(i));
    lua_pushcclosure(L, &Thunk<&NewLayer>, 1);
    lua_setfield(L, -2, spec.name().c_str());
    const std::string signature(spec.signature);
    Api().push_back({"nn", spec.name(), signature.substr(signature.find('(')) + " -> Module", spec.doc, spec.example});
  }
  MakeStrict(L, "nn");
  lua_setfield(L, -2, "nn");
}

}  // namespace lanthorn::lua
