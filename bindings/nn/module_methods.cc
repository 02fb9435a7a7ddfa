// What a module can do in Lua: parameters, state dict, files, moving, modes.
#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/ops/schema.h"
#include "engine/base/files/safetensors.h"
#include "engine/device/device.h"

namespace lanthorn::lua {
namespace {

using ModulePtr = std::shared_ptr<nn::Module>;  // what gives the module back to Lua takes it as one

// A parameter, which becomes another module's too when one of its fields is set to it.
struct OwnParameter {
  at::Tensor tensor;
};
struct NamedOwnParameter {
  std::string name;
  OwnParameter parameter;
};

// A row of the table that is printed before training.
struct LayerRow {
  std::string name, layer;
  int64_t parameters = 0;
};

}  // namespace

template <>
struct ValueOf<OwnParameter> {
  static std::string Type() { return "Tensor"; }
  static void Push(lua_State* L, const OwnParameter& value) { PushMember(L, value.tensor, Membership::kParameter); }
};
template <>
struct ValueOf<NamedOwnParameter> {
  static std::string Type() { return "table"; }
  static void Push(lua_State* L, const NamedOwnParameter& value) {
    NewTable(L).Set("name", value.name).Set("tensor", value.parameter);
  }
};
template <>
struct ValueOf<LayerRow> {
  static std::string Type() { return "table"; }
  static void Push(lua_State* L, const LayerRow& row) {
    NewTable(L).Set("name", row.name).Set("layer", row.layer).Set("parameters", row.parameters);
  }
};

namespace {

std::vector<OwnParameter> Parameters(const nn::Module& self) {
  std::vector<OwnParameter> list;
  for (const auto& parameter : self.Parameters()) list.push_back({parameter.tensor});
  return list;
}

std::vector<NamedOwnParameter> NamedParameters(const nn::Module& self) {
  std::vector<NamedOwnParameter> list;
  for (const auto& parameter : self.Parameters()) list.push_back({parameter.name, {parameter.tensor}});
  return list;
}

std::vector<std::pair<std::string, at::Tensor>> StateDict(const nn::Module& self) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& entry : self.StateDict()) tensors.emplace_back(entry.name, entry.tensor.detach());
  return tensors;
}

ModulePtr LoadStateDict(const ModulePtr& self, const std::map<std::string, at::Tensor>& tensors) {
  std::vector<nn::NamedParameter> list;
  for (const auto& [name, tensor] : tensors) list.push_back({name, tensor});
  Check(self->LoadStateDict(list));
  self->TakeMetadata({});  // values from anywhere
  return self;
}

ModulePtr Save(const ModulePtr& self, const std::string& path) {
  Check(WriteSafetensors(path, StateDict(*self), self->Metadata()));
  return self;
}

ModulePtr Load(const ModulePtr& self, const std::string& path) {
  const SafetensorsFile file = Value(ReadSafetensors(path));
  std::vector<nn::NamedParameter> tensors;
  for (const auto& [name, tensor] : file.tensors) tensors.push_back({name, tensor});
  // Other programs store a tied weight once and say so in the metadata, as "head.weight": "embed.weight".
  for (const auto& own : self->StateDict()) {
    const auto other = file.metadata.find(own.name);
    if (other == file.metadata.end() || absl::c_any_of(tensors, [&](const auto& t) { return t.name == own.name; })) {
      continue;
    }
    const auto stored = absl::c_find_if(file.tensors, [&](const auto& t) { return t.first == other->second; });
    if (stored != file.tensors.end()) tensors.push_back({own.name, stored->second});
  }
  const absl::Status status = self->LoadStateDict(tensors);
  if (!status.ok()) Check(WeightsError("'" + path + "': " + MessageOf(status)));
  self->TakeMetadata(file.metadata);
  return self;
}

std::optional<std::string> Vocabulary(nn::Module& self, std::optional<std::string> sha256) {
  if (sha256) self.set_vocabulary(*sha256);
  return self.vocabulary().empty() ? std::nullopt : std::optional(self.vocabulary());
}

std::optional<std::string> ForwardCheck(nn::Module& self, std::optional<std::string> text) {
  if (text) self.set_forward_check(*text);
  return self.forward_check().empty() ? std::nullopt : std::optional(self.forward_check());
}

ModulePtr Train(const ModulePtr& self, bool on) {
  self->Train(on);
  return self;
}
ModulePtr Eval(const ModulePtr& self) { return Train(self, false); }

int To(lua_State* L) {
  const auto module = CheckObject<nn::Module>(L, 1, "to");
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

// Rows of what holds parameters itself, and of the leaves.
void AddRows(const nn::Module& module, const std::string& path, std::vector<LayerRow>* rows) {
  // Not those without a dot: a layer may name its own parameters as if they were of parts, as PyTorch's are.
  int64_t own = 0;
  for (const auto& parameter : module.Parameters()) {
    const auto holds = [&](const auto& child) { return absl::StartsWith(parameter.name, child.first + "."); };
    if (absl::c_none_of(module.children(), holds)) own += parameter.tensor.numel();
  }
  if (module.children().empty() || own > 0) rows->push_back({path, module.Describe(), own});
  for (const auto& [name, child] : module.children()) AddRows(*child, path.empty() ? name : path + "." + name, rows);
}

std::vector<LayerRow> Layers(const nn::Module& self) {
  std::vector<LayerRow> rows;
  AddRows(self, "", &rows);
  return rows;
}

std::vector<bool> Modes(nn::Module& self) {
  std::vector<bool> modes;
  for (const nn::Module* module : self.Modules()) modes.push_back(module->training());
  return modes;
}

ModulePtr SetModes(const ModulePtr& self, const std::vector<bool>& modes) {
  const std::vector<nn::Module*> modules = self->Modules();
  if (modes.size() != modules.size()) {
    throw UsageError(
        absl::StrCat("set_modes: the model has ", modules.size(), " modules, got ", modes.size(), " modes"));
  }
  for (size_t i = 0; i < modules.size(); ++i) modules[i]->SetMode(modes[i]);
  return self;
}

const std::vector<FunctionRow> kMethods = {
    {"Module:parameters", "", "All parameters, each once.", Typed<&Parameters>},
    {"Module:named_parameters", "", "All parameters in order, as {name=, tensor=}, each once.",
     Typed<&NamedParameters>},
    {"Module:state_dict", "", "Parameters and buffers by name, as PyTorch names them.", Typed<&StateDict>},
    {"Module:load_state_dict", "tensors",
     "Copies values by name; missing, extra or misshapen names are an error that lists all.", Typed<&LoadStateDict>},
    {"Module:save", "path", "Writes the state dict as a safetensors file.", Typed<&Save>},
    {"Module:vocabulary", "sha256",
     "Checksum of the vocabulary that the weights were trained with, nil when unknown. train.fit sets it; save and "
     "load keep it.",
     Typed<&Vocabulary>},
    {"Module:forward_check", "text",
     "What the weights give for inputs that whoever sets this knows, as a text; nil when nobody did, or since a "
     "training began. save and load keep it, so that a model of the same shapes that computes something else can be "
     "found out. An empty text takes it away.",
     Typed<&ForwardCheck>},
    {"Module:load", "path", "Reads a safetensors file into this module, strictly.", Typed<&Load>},
    {"Module:train", "on=True", "Training mode: dropout is active.", Typed<&Train>},
    {"Module:eval", "", "Eval mode: dropout does nothing.", Typed<&Eval>},
    {"Module:to", "(str device_or_dtype, ...) -> Module",
     "Moves parameters in place, such as m:to('float64') or m:to('cuda:0').", &Thunk<&To>},
    {"Module:zero_grad", "", "Forgets all gradients.", Typed<&nn::Module::ZeroGrad>},
    {"Module:max_length", "", "The most time steps that a forward takes; 0: any number.",
     Typed<&nn::Module::MaxLength>},
    {"Module:parameter_count", "", "Number of parameter elements; tied ones count once.",
     Typed<&nn::Module::ParameterCount>},
    {"Module:layers", "",
     "Rows {name=, layer=, parameters=} of the layers that have parameters of their own or no children.",
     Typed<&Layers>},
    {"Module:modes", "", "Whether each module is in training mode: this one, then all below.", Typed<&Modes>},
    {"Module:set_modes", "modes", "Puts back what modes() gave.", Typed<&SetModes>},
};

}  // namespace

void RegisterModuleMethods(lua_State* L) { RegisterRows(L, "nn", kMethods); }

}  // namespace lanthorn::lua
