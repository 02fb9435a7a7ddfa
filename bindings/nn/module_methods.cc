// What a module can do in Lua: parameters, state dict, files, moving, modes.
#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bindings/lua/function.h"
#include "bindings/nn/module.h"
#include "bindings/ops/schema.h"
#include "engine/base/safetensors.h"
#include "engine/device/device.h"

namespace lanthorn::lua {
namespace {

std::shared_ptr<nn::Module> Self(lua_State* L, const char* method) { return CheckObject<nn::Module>(L, 1, method); }

int Parameters(lua_State* L) {
  const auto parameters = Self(L, "parameters")->Parameters();
  lua_createtable(L, static_cast<int>(parameters.size()), 0);
  for (size_t i = 0; i < parameters.size(); ++i) {
    PushMember(L, parameters[i].tensor, Membership::kParameter);
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
    PushMember(L, parameters[i].tensor, Membership::kParameter);
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
  module->set_vocabulary("");  // values from anywhere
  lua_settop(L, 1);
  return 1;
}

int Save(lua_State* L) {
  const auto module = Self(L, "save");
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& entry : module->StateDict()) tensors.emplace_back(entry.name, entry.tensor.detach());
  Check(WriteSafetensors(luaL_checkstring(L, 2), tensors, module->Metadata()));
  lua_settop(L, 1);
  return 1;
}

int Load(lua_State* L) {
  const auto module = Self(L, "load");
  const std::string path = luaL_checkstring(L, 2);
  const SafetensorsFile file = Value(ReadSafetensors(path));
  std::vector<nn::NamedParameter> tensors;
  for (const auto& [name, tensor] : file.tensors) tensors.push_back({name, tensor});
  // Other programs store a tied weight once and say so in the metadata, as "head.weight": "embed.weight".
  for (const auto& own : module->StateDict()) {
    const auto other = file.metadata.find(own.name);
    if (other == file.metadata.end() || absl::c_any_of(tensors, [&](const auto& t) { return t.name == own.name; })) {
      continue;
    }
    const auto stored = absl::c_find_if(file.tensors, [&](const auto& t) { return t.first == other->second; });
    if (stored != file.tensors.end()) tensors.push_back({own.name, stored->second});
  }
  const absl::Status status = module->LoadStateDict(tensors);
  if (!status.ok()) Check(WeightsError("'" + path + "': " + MessageOf(status)));
  module->TakeMetadata(file.metadata);
  lua_settop(L, 1);
  return 1;
}

int Vocabulary(lua_State* L) {
  const auto module = Self(L, "vocabulary");
  if (!lua_isnoneornil(L, 2)) module->set_vocabulary(luaL_checkstring(L, 2));
  if (module->vocabulary().empty()) return 0;
  lua_pushstring(L, module->vocabulary().c_str());
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
int Modes(lua_State* L) {
  const std::vector<nn::Module*> modules = Self(L, "modes")->Modules();
  lua_createtable(L, static_cast<int>(modules.size()), 0);
  for (size_t i = 0; i < modules.size(); ++i) {
    lua_pushboolean(L, modules[i]->training());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

int SetModes(lua_State* L) {
  const auto module = Self(L, "set_modes");
  luaL_checktype(L, 2, LUA_TTABLE);
  const std::vector<nn::Module*> modules = module->Modules();
  if (const size_t given = lua_objlen(L, 2); given != modules.size())
    throw UsageError(absl::StrCat("set_modes: the model has ", modules.size(), " modules, got ", given, " modes"));
  for (size_t i = 0; i < modules.size(); ++i) {
    lua_rawgeti(L, 2, static_cast<int>(i) + 1);
    modules[i]->SetMode(lua_toboolean(L, -1));
    lua_pop(L, 1);
  }
  lua_settop(L, 1);
  return 1;
}
const std::vector<FunctionRow> kMethods = {
    {"Module:parameters", "() -> Tensor[]", "All parameters, each once.", &Thunk<&Parameters>},
    {"Module:named_parameters", "() -> table[]", "All parameters in order, as {name=, tensor=}, each once.",
     &Thunk<&NamedParameters>},
    {"Module:state_dict", "() -> table", "Parameters and buffers by name, as PyTorch names them.", &Thunk<&StateDict>},
    {"Module:load_state_dict", "(table tensors) -> Module",
     "Copies values by name; missing, extra or misshapen names are an error that lists all.", &Thunk<&LoadStateDict>},
    {"Module:save", "(str path) -> Module", "Writes the state dict as a safetensors file.", &Thunk<&Save>},
    {"Module:vocabulary", "(str? sha256=None) -> str?",
     "Checksum of the vocabulary that the weights were trained with, nil when unknown. train.fit sets it; save and "
     "load "
     "keep it.",
     &Thunk<&Vocabulary>},
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
    {"Module:modes", "() -> bool[]", "Whether each module is in training mode: this one, then all below.",
     &Thunk<&Modes>},
    {"Module:set_modes", "(bool[] modes) -> Module", "Puts back what modes() gave.", &Thunk<&SetModes>},
};

}  // namespace

void RegisterModuleMethods(lua_State* L) { RegisterRows(L, "nn", kMethods); }

}  // namespace lanthorn::lua
