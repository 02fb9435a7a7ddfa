// The module userdata. Fields that Lua sets live in its environment table (LuaJIT's lua_setfenv), beside strong
// references to the children that were added from Lua, so that a child keeps its Lua forward.
#include "bindings/nn/module.h"

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "bindings/lua/function.h"
#include "bindings/ops/schema.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/nearest.h"
#include "engine/base/safetensors.h"
#include "engine/device/device.h"
#include "engine/nn/key_padding.h"
#include "engine/nn/sequential.h"

namespace lanthorn::lua {
namespace {

constexpr char kCache[] = "lanthorn.modules";  // registry: module pointer -> userdata, weak values

std::shared_ptr<nn::Module> Self(lua_State* L, const char* method) { return CheckObject<nn::Module>(L, 1, method); }

std::vector<std::string> MemberNames(lua_State* L, const nn::Module& module) {
  std::vector<std::string> names;
  for (const auto& [name, child] : module.children()) names.push_back(name);
  for (const auto& parameter : module.StateDict()) {
    if (parameter.name.find('.') == std::string::npos) names.push_back(parameter.name);
  }
  for (const ApiRow& row : Api()) {
    if (row.name.rfind("Module:", 0) == 0) names.push_back(row.name.substr(7));
  }
  return names;
}

// What Tab offers behind a module.
int Complete(lua_State* L) {
  std::vector<std::string> names = MemberNames(L, *Self(L, "nn.Module"));
  lua_getfenv(L, 1);  // what Lua has set on it
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING) names.push_back(lua_tostring(L, -2));
  }
  lua_pop(L, 1);
  PushNames(L, names);
  return 1;
}

// upvalue 1: the methods.
int Index(lua_State* L) {
  const auto module = Self(L, "nn.Module");
  lua_getfenv(L, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  if (!lua_isnil(L, -1)) return 1;
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  if (lua_type(L, 2) != LUA_TSTRING) throw UsageError("nn.Module: members have names, got " + Describe(L, 2));
  const std::string name = lua_tostring(L, 2);
  if (const auto child = module->Child(name)) {
    PushModule(L, child);
  } else if (const at::Tensor own = module->Own(name); own.defined()) {
    PushTensor(L, own);
  } else if (name == "training") {
    lua_pushboolean(L, module->training());
  } else if (name == "kind") {
    lua_pushstring(L, module->kind().c_str());
  } else if (name == "forward") {
    lua_pushnil(L);  // none written in Lua
  } else {
    throw UsageError(module->kind() + " has no member '" + name + "'" + DidYouMean(name, MemberNames(L, *module)));
  }
  return 1;
}

int NewIndex(lua_State* L) {
  const auto module = Self(L, "nn.Module");
  const std::string name = luaL_checkstring(L, 2);
  if (const auto child = ToObject<nn::Module>(L, 3)) {
    module->AddChild(name, child);
  } else if (module->Own(name).defined()) {
    Check(module->Tie(name, CheckTensor(L, 3, name.c_str())));
    return 0;
  } else if (module->Child(name) != nullptr) {
    throw UsageError(module->kind() + " already has a layer '" + name + "'");
  }
  lua_getfenv(L, 1);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_rawset(L, -3);
  return 0;
}

int CallMeta(lua_State* L) { return CallModule(L, 1, lua_gettop(L) - 1); }

void Draw(const nn::Module& module, const std::string& indent, const std::string& name, std::string* text) {
  absl::StrAppend(text, indent, name.empty() ? "" : "(" + name + ") ", module.Describe(), "\n");
  for (const auto& [child_name, child] : module.children()) Draw(*child, indent + "  ", child_name, text);
}

int ToString(lua_State* L) {
  std::string text;
  Draw(*Self(L, "tostring"), "", "", &text);
  text.pop_back();
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

int Equal(lua_State* L) {
  lua_pushboolean(L, ToObject<nn::Module>(L, 1) == ToObject<nn::Module>(L, 2));
  return 1;
}

int Parameters(lua_State* L) {
  const auto parameters = Self(L, "parameters")->Parameters();
  lua_createtable(L, static_cast<int>(parameters.size()), 0);
  for (size_t i = 0; i < parameters.size(); ++i) {
    PushTensor(L, parameters[i].tensor);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

int NamedParameters(lua_State* L) {
  const auto parameters = Self(L, "named_parameters")->Parameters();
  lua_createtable(L, static_cast<int>(parameters.size()), 0);
  for (size_t i = 0; i < parameters.size(); ++i) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, parameters[i].name.c_str());
    lua_setfield(L, -2, "name");
    PushTensor(L, parameters[i].tensor);
    lua_setfield(L, -2, "tensor");
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

int StateDict(lua_State* L) {
  lua_newtable(L);
  for (const auto& entry : Self(L, "state_dict")->StateDict()) {
    PushTensor(L, entry.tensor.detach());
    lua_setfield(L, -2, entry.name.c_str());
  }
  return 1;
}

int LoadStateDict(lua_State* L) {
  const auto module = Self(L, "load_state_dict");
  if (!lua_istable(L, 2)) throw UsageError("load_state_dict: expected a table {name = tensor}, got " + Describe(L, 2));
  std::vector<nn::NamedParameter> tensors;
  lua_pushnil(L);
  while (lua_next(L, 2) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING)
      throw UsageError("load_state_dict: names must be strings, got " + Describe(L, lua_gettop(L) - 1));
    tensors.push_back({lua_tostring(L, -2), CheckTensor(L, lua_gettop(L), "load_state_dict")});
    lua_pop(L, 1);
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  Check(module->LoadStateDict(tensors));
  lua_settop(L, 1);
  return 1;
}

int Save(lua_State* L) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& entry : Self(L, "save")->StateDict()) tensors.emplace_back(entry.name, entry.tensor.detach());
  Check(WriteSafetensors(luaL_checkstring(L, 2), tensors, {}));
  lua_settop(L, 1);
  return 1;
}

int Load(lua_State* L) {
  const auto module = Self(L, "load");
  const std::string path = luaL_checkstring(L, 2);
  const SafetensorsFile file = Value(ReadSafetensors(path));
  std::vector<nn::NamedParameter> tensors;
  for (const auto& [name, tensor] : file.tensors) tensors.push_back({name, tensor});
  const absl::Status status = module->LoadStateDict(tensors);
  if (!status.ok()) Check(WeightsError("'" + path + "': " + MessageOf(status)));
  lua_settop(L, 1);
  return 1;
}

int Train(lua_State* L) {
  Self(L, "train")->Train(lua_isnoneornil(L, 2) || lua_toboolean(L, 2));
  lua_settop(L, 1);
  return 1;
}

int Eval(lua_State* L) {
  Self(L, "eval")->Train(false);
  lua_settop(L, 1);
  return 1;
}

int To(lua_State* L) {
  const auto module = Self(L, "to");
  const auto parameters = module->Parameters();
  c10::Device device = parameters.empty() ? c10::Device(c10::DeviceType::CPU) : parameters[0].tensor.device();
  c10::ScalarType dtype = parameters.empty() ? c10::kFloat : parameters[0].tensor.scalar_type();
  for (int i = 2; i <= lua_gettop(L); ++i) {
    const std::string name = luaL_checkstring(L, i);
    if (!ParseDtype(name, &dtype)) device = Value(device::Resolve(name));
  }
  if (!c10::isFloatingType(dtype))
    throw UsageError("to: parameters must have a floating-point dtype, got " + DtypeName(dtype));
  module->To(device, dtype);
  lua_settop(L, 1);
  return 1;
}

int ZeroGrad(lua_State* L) {
  Self(L, "zero_grad")->ZeroGrad();
  return 0;
}

int ParameterCount(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(Self(L, "parameter_count")->ParameterCount()));
  return 1;
}

// Rows {name, layer, parameters} of what holds parameters itself, and of the leaves, for the table printed before
// training.
void AddRows(lua_State* L, const nn::Module& module, const std::string& path, int* count) {
  // Not those without a dot: a layer may name its own parameters as if they were of parts, as PyTorch's are.
  int64_t own = 0;
  for (const auto& parameter : module.Parameters()) {
    const auto holds = [&](const auto& child) { return absl::StartsWith(parameter.name, child.first + "."); };
    if (absl::c_none_of(module.children(), holds)) own += parameter.tensor.numel();
  }
  if (module.children().empty() || own > 0) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, path.c_str());
    lua_setfield(L, -2, "name");
    lua_pushstring(L, module.Describe().c_str());
    lua_setfield(L, -2, "layer");
    lua_pushnumber(L, static_cast<double>(own));
    lua_setfield(L, -2, "parameters");
    lua_rawseti(L, -2, ++*count);
  }
  for (const auto& [name, child] : module.children())
    AddRows(L, *child, path.empty() ? name : path + "." + name, count);
}

int Layers(lua_State* L) {
  lua_newtable(L);
  int count = 0;
  AddRows(L, *Self(L, "layers"), "", &count);
  return 1;
}

int CreatedOrder(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(Self(L, "created_order")->created_order()));
  return 1;
}

int NewContainer(lua_State* L) {
  PushModule(L, std::make_shared<nn::Container>(luaL_optstring(L, 1, "Model")));
  return 1;
}

int NewSequential(lua_State* L) {
  if (!lua_istable(L, 1))
    throw UsageError("nn.Sequential: expected a list of layers or of {name, layer}, got " + Describe(L, 1));
  auto sequential = std::make_shared<nn::Sequential>();
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
    sequential->AddChild(
        name, CheckObject<nn::Module>(L, lua_gettop(L), ("nn.Sequential: entry " + std::to_string(i)).c_str()));
    lua_settop(L, 1);
  }
  PushModule(L, sequential);
  return 1;
}

int KeyPaddingScope(lua_State* L) {
  const at::Tensor padding = CheckTensor(L, 1, "nn.key_padding: padding");
  if (ToObject<nn::Module>(L, 2) == nullptr) luaL_checktype(L, 2, LUA_TFUNCTION);
  const nn::KeyPadding scope(padding);
  lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
  return lua_gettop(L) - 1;
}

const std::vector<FunctionRow> kMethods = {
    {"Module:parameters", "() -> Tensor[]", "All parameters, each once.", &Thunk<&Parameters>},
    {"Module:named_parameters", "() -> table[]", "All parameters in order, as {name=, tensor=}, each once.",
     &Thunk<&NamedParameters>},
    {"Module:state_dict", "() -> table", "Parameters and buffers by name, as PyTorch names them.", &Thunk<&StateDict>},
    {"Module:load_state_dict", "(table tensors) -> Module",
     "Copies values by name; missing, extra or misshapen names are an error that lists all.", &Thunk<&LoadStateDict>},
    {"Module:save", "(str path) -> Module", "Writes the state dict as a safetensors file.", &Thunk<&Save>},
    {"Module:load", "(str path) -> Module", "Reads a safetensors file into this module, strictly.", &Thunk<&Load>},
    {"Module:train", "(bool on=True) -> Module", "Training mode: dropout is active.", &Thunk<&Train>},
    {"Module:eval", "() -> Module", "Eval mode: dropout does nothing.", &Thunk<&Eval>},
    {"Module:to", "(str device_or_dtype, ...) -> Module",
     "Moves parameters in place, such as m:to('float64') or m:to('cuda:0').", &Thunk<&To>},
    {"Module:zero_grad", "() -> ()", "Forgets all gradients.", &Thunk<&ZeroGrad>},
    {"Module:parameter_count", "() -> int", "Number of parameter elements; tied ones count once.",
     &Thunk<&ParameterCount>},
    {"Module:layers", "() -> table[]",
     "Rows {name=, layer=, parameters=} of the layers that have parameters of their own or no children.",
     &Thunk<&Layers>},
    {"Module:created_order", "() -> int",
     "A number that grows with each module made: the order in which initial values were drawn.", &Thunk<&CreatedOrder>},
};

const std::vector<FunctionRow> kFunctions = {
    {"Sequential", "(table layers) -> Module",
     "Layers one after the other; entries are layers or {name, layer}. Recurrent state is carried through.",
     &Thunk<&NewSequential>, "nn.Sequential{{'up', nn.Linear{2, 8}}, nn.Tanh(), nn.Linear{8, 1}}(torch.randn{4, 2})"},
    {"Container", "(str kind='Model') -> Module",
     "An empty module: assign layers to its fields, and a Lua function to `forward`.", &Thunk<&NewContainer>},
    {"key_padding", "(Tensor padding, function f, ...) -> any",
     "Calls f(...), a function or a layer, and gives its results; attention inside leaves out the padded keys. "
     "padding: "
     "bool (B, T), true at padded positions, or int64 lengths (B), with padding behind them. A query that is left "
     "without any key attends to nothing and gets zeros.",
     &Thunk<&KeyPaddingScope>,
     "nn.key_padding(torch.tensor({3, 5}, {dtype='int64'}), nn.MultiheadAttention{8, 2}, torch.randn{2, 5, 8})"},
};

}  // namespace

void PushModule(lua_State* L, const std::shared_ptr<nn::Module>& module) {
  lua_getfield(L, LUA_REGISTRYINDEX, kCache);
  lua_pushlightuserdata(L, module.get());
  lua_rawget(L, -2);
  if (ToObject<nn::Module>(L, lua_gettop(L)) == module) {
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  PushObject(L, module);
  lua_newtable(L);
  lua_setfenv(L, -2);
  lua_pushlightuserdata(L, module.get());
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
  lua_remove(L, -2);
}

nn::State ReadState(lua_State* L, int index) {
  nn::State state;
  if (lua_isnoneornil(L, index)) return state;
  if (lua_istable(L, index)) {
    for (int i = 1, n = static_cast<int>(lua_objlen(L, index)); i <= n; ++i) {
      lua_rawgeti(L, index, i);
      state.push_back(CheckTensor(L, lua_gettop(L), "state"));
      lua_pop(L, 1);
    }
  } else {
    state.push_back(CheckTensor(L, index, "state"));
  }
  return state;
}

void PushState(lua_State* L, const nn::State& state) {
  if (state.size() == 1) {
    PushTensor(L, state[0]);
    return;
  }
  lua_createtable(L, static_cast<int>(state.size()), 0);
  for (size_t i = 0; i < state.size(); ++i) {
    PushTensor(L, state[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

int CallModule(lua_State* L, int module_index, int arguments) {
  const int first = lua_gettop(L) - arguments + 1;
  const auto module = CheckObject<nn::Module>(L, module_index, "call");
  lua_getfenv(L, module_index);
  lua_getfield(L, -1, "forward");
  lua_remove(L, -2);
  if (lua_isfunction(L, -1)) {
    lua_insert(L, first);
    lua_pushvalue(L, module_index);
    lua_insert(L, first + 1);
    lua_call(L, arguments + 1, LUA_MULTRET);
    return lua_gettop(L) - first + 1;
  }
  lua_pop(L, 1);
  if (!module->HasForward())
    throw UsageError(module->kind() +
                     " has no forward: assign a function (model, input, state) to its field 'forward'");
  if (arguments < 1) throw UsageError(module->kind() + ": called without an input");
  const at::Tensor& input = CheckTensor(L, first, (module->kind() + ": input").c_str());
  if (module->StateSize() == 0) {  // a state that another layer returned beside its output is not for this one
    PushTensor(L, module->Forward(input, nullptr));
    return 1;
  }
  nn::State state = ReadState(L, first + 1);
  PushTensor(L, module->Forward(input, &state));
  PushState(L, state);
  return 2;
}

void OpenModule(lua_State* L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, kCache);
  RegisterRows(L, "nn", kFunctions);
  DefineType<nn::Module>(L);  // leaves the methods
  RegisterRows(L, "nn", kMethods);
  luaL_getmetatable(L, TypeName<nn::Module>::kName);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, &Thunk<&Index>, 1);
  lua_setfield(L, -2, "__index");
  const luaL_Reg meta[] = {{"__newindex", &Thunk<&NewIndex>},
                           {"__complete", &Thunk<&Complete>},
                           {"__call", &Thunk<&CallMeta>},
                           {"__tostring", &Thunk<&ToString>},
                           {"__eq", &Thunk<&Equal>}};
  for (const luaL_Reg& entry : meta) {
    lua_pushcfunction(L, entry.func);
    lua_setfield(L, -2, entry.name);
  }
  lua_pop(L, 2);
}

}  // namespace lanthorn::lua
