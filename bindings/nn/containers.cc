// Modules that hold others, and what wraps a call of one: nn.Sequential, nn.Residual, nn.Container, nn.key_padding,
// nn.key_relations.
#include "absl/strings/str_cat.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "engine/nn/key_padding.h"
#include "engine/nn/key_relations.h"
#include "engine/nn/layers/residual.h"
#include "engine/nn/layers/sequential.h"

namespace lanthorn::lua {
namespace {

std::optional<int64_t> CreatedOrder(lua_State* L, Anything value) {
  if (const auto module = ToObject<nn::Module>(L, value.index)) return module->created_order();
  const TensorBox* box = ToTensorBox(L, value.index);
  return box != nullptr && box->created_order > 0 ? std::optional<int64_t>(box->created_order) : std::nullopt;
}

std::shared_ptr<nn::Module> NewContainer(const std::string& kind) { return std::make_shared<nn::Container>(kind); }

int NewSequential(lua_State* L) {
  if (!lua_istable(L, 1))
    throw UsageError("nn.Sequential: expected a list of layers or of {name, layer}, got " + Describe(L, 1));
  auto sequential = std::make_shared<nn::Sequential>();
  lua_settop(L, 1);
  PushModule(L, sequential);  // 2
  lua_getfenv(L, 2);          // 3
  const int length = static_cast<int>(lua_objlen(L, 1));
  for (int i = 1; i <= length; ++i) {
    lua_rawgeti(L, 1, i);
    std::string name = std::to_string(i - 1);  // as torch.nn.Sequential numbers them
    if (lua_istable(L, -1)) {
      lua_rawgeti(L, -1, 1);
      if (lua_type(L, -1) != LUA_TSTRING)
        throw UsageError("nn.Sequential: entry " + std::to_string(i) + " must be {name, layer}");
      name = lua_tostring(L, -1);
      lua_pop(L, 1);
      lua_rawgeti(L, -1, 2);
    }
    CheckMemberName(*sequential, name);
    sequential->AddChild(
        name, CheckObject<nn::Module>(L, lua_gettop(L), ("nn.Sequential: entry " + std::to_string(i)).c_str()));
    lua_setfield(L, 3, name.c_str());  // with its userdata the Lua forward of a layer stays
    lua_settop(L, 3);
  }
  lua_settop(L, 2);
  return 1;
}

int NewResidual(lua_State* L) {
  if (lua_istable(L, 1)) {
    const size_t count = lua_objlen(L, 1);
    if (count != 1) throw UsageError(absl::StrCat("nn.Residual: expected one layer, got ", count));
    lua_rawgeti(L, 1, 1);
    lua_replace(L, 1);
  }
  lua_settop(L, 1);
  const auto layer = CheckObject<nn::Module>(L, 1, "nn.Residual: the layer");
  PushModule(L, std::make_shared<nn::Residual>(layer));
  lua_getfenv(L, 2);
  lua_pushvalue(L, 1);
  lua_setfield(L, 3, "fn");
  lua_settop(L, 2);
  return 1;
}

int KeyPaddingScope(lua_State* L) {
  const at::Tensor padding = CheckTensor(L, 1, "nn.key_padding: padding");
  if (ToObject<nn::Module>(L, 2) == nullptr) luaL_checktype(L, 2, LUA_TFUNCTION);
  const nn::KeyPadding scope(padding);
  lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
  return lua_gettop(L) - 1;
}

int KeyRelationsScope(lua_State* L) {
  const at::Tensor relations = CheckTensor(L, 1, "nn.key_relations: relations");
  if (ToObject<nn::Module>(L, 2) == nullptr) luaL_checktype(L, 2, LUA_TFUNCTION);
  const nn::KeyRelations scope(relations);
  lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
  return lua_gettop(L) - 1;
}

const std::vector<FunctionRow> kFunctions = {
    {"Sequential", "(table layers) -> Module",
     "Layers one after the other; entries are layers or {name, layer}. Recurrent state is carried through.",
     &Thunk<&NewSequential>, "nn.Sequential{{'up', nn.Linear{2, 8}}, nn.Tanh(), nn.Linear{8, 1}}(torch.randn{4, 2})"},
    {"Residual", "(Module layer) -> Module",
     "y = x + layer(x), which must keep the shape. The layer is the member fn. He et al. 2015.", &Thunk<&NewResidual>,
     "nn.Residual{nn.Linear{4, 4}}(torch.randn{2, 4})"},
    {"created_order", "value",
     "The place of a layer, parameter or buffer in the order in which they were made, which is that of initial values.",
     Typed<&CreatedOrder>},
    {"Container", "kind='Model'", "An empty module: assign layers to its fields, and a Lua function to `forward`.",
     Typed<&NewContainer>},
    {"key_padding", "(Tensor padding, function f, ...) -> any",
     "Calls f(...), a function or a layer, and gives its results; attention inside leaves out the padded keys. "
     "padding: bool (B, T), true at padded positions, or int64 lengths (B), with padding behind them. A query that is "
     "left without any key attends to nothing and gets zeros.",
     &Thunk<&KeyPaddingScope>,
     "nn.key_padding(torch.tensor({3, 5}, {dtype='int64'}), nn.MultiheadAttention{8, 2}, torch.randn{2, 5, 8})"},
    {"key_relations", "(Tensor relations, function f, ...) -> any",
     "Calls f(...), a function or a layer, and gives its results; attention inside that has a relation_bias adds it to "
     "its scores. relations: int64 (B, T), the number of each position's relation, 0 for none. GraphMER.",
     &Thunk<&KeyRelationsScope>,
     "nn.key_relations(torch.zeros({2, 5}, {dtype='int64'}), nn.MultiheadAttention{8, 2, relations=3}, "
     "torch.randn{2, 5, 8})"},
};

}  // namespace

void RegisterContainers(lua_State* L) { RegisterRows(L, "nn", kFunctions); }

}  // namespace lanthorn::lua
