// The tables `nn` and `optim`: one function per registered layer and optimiser, read by its signature.
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "bindings/lua/function.h"
#include "bindings/nn/module.h"
#include "bindings/nn/optimizer.h"
#include "bindings/ops/function_call.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/nearest.h"
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

// An optimiser moves what somebody else reads: leaves, and at least one of them.
std::vector<nn::NamedParameter> CheckTrainable(std::vector<nn::NamedParameter> parameters, const std::string& who) {
  if (parameters.empty()) throw UsageError(who + ": there are no parameters to train");
  for (const auto& parameter : parameters) {
    if (!parameter.tensor.is_leaf())
      throw UsageError(who + ": parameter " + parameter.name +
                       " is computed from other tensors (not a leaf), so training it would have no effect");
  }
  return parameters;
}

std::vector<nn::NamedParameter> ReadParameters(lua_State* L, int index, const std::string& who) {
  if (const auto module = ToObject<nn::Module>(L, index)) return module->Parameters();
  if (!lua_istable(L, index))
    throw UsageError(who + ": expected a model or a list of parameters, got " + Describe(L, index));
  std::vector<nn::NamedParameter> parameters;
  const int top = lua_gettop(L);
  for (int i = 1, n = static_cast<int>(lua_objlen(L, index)); i <= n; ++i) {
    lua_rawgeti(L, index, i);
    std::string name = std::to_string(i - 1);
    if (lua_istable(L, -1)) {  // {name=, tensor=}, as named_parameters gives them
      lua_getfield(L, -1, "name");
      if (lua_type(L, -1) == LUA_TSTRING) name = lua_tostring(L, -1);
      lua_pop(L, 1);
      lua_getfield(L, -1, "tensor");
    }
    parameters.push_back({name, CheckTensor(L, lua_gettop(L), (who + ": parameter " + name).c_str())});
    lua_settop(L, top);
  }
  return parameters;
}

// Options of a group by the optimiser's signature. [-0, +0, e]
optim::Options ReadOptions(lua_State* L, int index, const NamedSignature& signature) {
  const int top = lua_gettop(L);
  if (lua_isnoneornil(L, index)) {
    lua_newtable(L);
  } else {
    lua_pushvalue(L, index);
  }
  Call call{L, lua_gettop(L) + 1, 0, lua_gettop(L)};
  std::string why;
  if (MatchCost(call, signature.signature, &why) < 0) Check(ConfigError(Misfit("optim.", signature, why)));
  std::vector<c10::IValue> values;
  ReadArguments(call, signature.signature, &values);
  lua_settop(L, top);
  optim::Options options;
  for (size_t i = 0; i < values.size(); ++i) {
    options[signature.signature.parameters[i].name] =
        values[i].isBool() ? values[i].toBool() : values[i].toScalar().toDouble();
  }
  const std::string who = "optim." + signature.text.substr(0, signature.text.find('('));
  for (const char* name : {"lr", "weight_decay", "eps", "momentum"}) {
    const auto found = options.find(name);
    if (found != options.end() && !(found->second >= 0))
      Check(ConfigError(absl::StrCat(who, ": ", name, " must not be negative, got ", found->second)));
  }
  const auto given = [&](const char* name) { return options.count(name) > 0 ? options.at(name) : 0; };
  if (given("nesterov") != 0 && (given("momentum") == 0 || given("dampening") != 0)) {
    Check(ConfigError(absl::StrCat(who, ": nesterov looks ahead along the momentum, and needs momentum above 0 and no ",
                                   "dampening, got momentum ", given("momentum"), " and dampening ",
                                   given("dampening"))));
  }
  for (const char* name : {"beta1", "beta2", "alpha"}) {
    const auto found = options.find(name);
    if (found != options.end() && !(found->second >= 0 && found->second < 1))
      Check(ConfigError(absl::StrCat(who, ": ", name, " must be in [0, 1), got ", found->second)));
  }
  return options;
}

// optim.Adam(model | parameters | {{params=..., lr=...}, ...}, {lr=...}). upvalue 1: number in the registry.
int NewOptimizer(lua_State* L) {
  static const std::vector<NamedSignature> signatures = [] {
    std::vector<NamedSignature> parsed;
    for (const optim::OptimizerSpec& spec : optim::Optimizers()) parsed.push_back(ParseSignature(spec.signature));
    return parsed;
  }();
  const size_t at = static_cast<size_t>(lua_tointeger(L, lua_upvalueindex(1)));
  const NamedSignature& signature = signatures[at];
  const std::string who = "optim." + optim::Optimizers()[at].name();
  lua_settop(L, 2);
  std::shared_ptr<optim::Optimizer> optimizer = optim::Optimizers()[at].make();
  bool groups = false;
  if (lua_istable(L, 1)) {
    lua_rawgeti(L, 1, 1);
    if (lua_istable(L, -1)) {
      lua_getfield(L, -1, "params");
      groups = !lua_isnil(L, -1);
    }
    lua_settop(L, 2);
  }
  if (!groups) {
    optimizer->AddGroup(CheckTrainable(ReadParameters(L, 1, who), who), ReadOptions(L, 2, signature));
    PushObject(L, optimizer);
    return 1;
  }
  for (int i = 1, n = static_cast<int>(lua_objlen(L, 1)); i <= n; ++i) {
    lua_rawgeti(L, 1, i);
    const int group = lua_gettop(L);
    lua_getfield(L, group, "params");
    const std::string group_name = who + " group " + std::to_string(i);
    auto parameters = CheckTrainable(ReadParameters(L, lua_gettop(L), group_name), group_name);
    lua_newtable(L);  // common options with the group's own over them
    const int merged = lua_gettop(L);
    for (const int source : {2, group}) {
      if (!lua_istable(L, source)) continue;
      lua_pushnil(L);
      while (lua_next(L, source) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, merged);
      }
    }
    lua_pushnil(L);
    lua_setfield(L, merged, "params");
    optimizer->AddGroup(std::move(parameters), ReadOptions(L, merged, signature));
    lua_settop(L, 2);
  }
  PushObject(L, optimizer);
  return 1;
}

int OptimizerStep(lua_State* L) {
  CheckObject<optim::Optimizer>(L, 1, "step")->Step();
  return 0;
}

int OptimizerZeroGrad(lua_State* L) {
  for (auto& group : CheckObject<optim::Optimizer>(L, 1, "zero_grad")->groups()) {
    for (auto& parameter : group.parameters) parameter.tensor.mutable_grad() = at::Tensor();
  }
  return 0;
}

int OptimizerSetLrFactor(lua_State* L) {
  const auto optimizer = CheckObject<optim::Optimizer>(L, 1, "set_lr_factor");
  const double factor = luaL_checknumber(L, 2);
  if (!(factor >= 0)) throw UsageError("set_lr_factor: the factor must not be negative");
  optimizer->SetLrFactor(factor);
  return 0;
}

int OptimizerLr(lua_State* L) {
  lua_pushnumber(L, CheckObject<optim::Optimizer>(L, 1, "lr")->lr());
  return 1;
}

int OptimizerName(lua_State* L) {
  lua_pushstring(L, CheckObject<optim::Optimizer>(L, 1, "name")->name().c_str());
  return 1;
}

int OptimizerSlots(lua_State* L) {
  const auto optimizer = CheckObject<optim::Optimizer>(L, 1, "slots_per_element");
  lua_pushnumber(L, static_cast<double>(optimizer->SlotsPerElement()));
  return 1;
}

int OptimizerNames(lua_State* L) {
  std::vector<std::string> names;
  for (const optim::OptimizerSpec& spec : optim::Optimizers()) names.push_back(spec.name());
  PushNames(L, names);
  return 1;
}

int GradNorm(lua_State* L) {
  lua_pushnumber(L, optim::GradientNorm(ReadParameters(L, 1, "optim.grad_norm")));
  return 1;
}

int ClipGradNorm(lua_State* L) {
  const auto parameters = ReadParameters(L, 1, "optim.clip_grad_norm_");
  const double limit = luaL_checknumber(L, 2), norm = optim::GradientNorm(parameters);
  optim::ClipNorm(parameters, limit, norm);
  lua_pushnumber(L, norm);
  return 1;
}

int ClipGradValue(lua_State* L) {
  optim::ClipValue(ReadParameters(L, 1, "optim.clip_grad_value_"), luaL_checknumber(L, 2));
  return 0;
}

const std::vector<FunctionRow> kOptimizerMethods = {
    {"Optimizer:step", "() -> ()", "One update from the gradients.", &Thunk<&OptimizerStep>},
    {"Optimizer:zero_grad", "() -> ()", "Forgets the gradients of its parameters.", &Thunk<&OptimizerZeroGrad>},
    {"Optimizer:set_lr_factor", "(float factor) -> ()", "Multiplies every group's base learning rate.",
     &Thunk<&OptimizerSetLrFactor>},
    {"Optimizer:lr", "() -> float", "The learning rate of the first group now.", &Thunk<&OptimizerLr>},
    {"Optimizer:name", "() -> str", "The name it was made by, such as Adam.", &Thunk<&OptimizerName>},
    {"Optimizer:slots_per_element", "() -> int", "Numbers of state for each element of a parameter.",
     &Thunk<&OptimizerSlots>},
};
const std::vector<FunctionRow> kOptimFunctions = {
    {"names", "() -> str[]", "Names of all optimisers.", &Thunk<&OptimizerNames>},
    {"grad_norm", "(model_or_parameters) -> float", "Norm of all gradients together.", &Thunk<&GradNorm>},
    {"clip_grad_norm_", "(model_or_parameters, float max_norm) -> float",
     "Scales the gradients to at most this norm; gives the norm before.", &Thunk<&ClipGradNorm>},
    {"clip_grad_value_", "(model_or_parameters, float limit) -> ()",
     "Limits every gradient element to [-limit, limit].", &Thunk<&ClipGradValue>},
};

// Makes t.Typo an error that names the nearest member. `table` lies on the top of the stack. [-0, +0, m]
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
void MakeStrict(lua_State* L, const char* name) {
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_pushcclosure(L, &Thunk<&MissingMember>, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
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

void OpenOptim(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "optim", kOptimFunctions);
  RegisterSelection(L);
  for (size_t i = 0; i < optim::Optimizers().size(); ++i) {
    const optim::OptimizerSpec& spec = optim::Optimizers()[i];
    lua_pushinteger(L, static_cast<lua_Integer>(i));
    lua_pushcclosure(L, &Thunk<&NewOptimizer>, 1);
    lua_setfield(L, -2, spec.name().c_str());
    const std::string signature(spec.signature);
    Api().push_back({"optim", spec.name(),
                     "(parameters, *, " + signature.substr(signature.find('(') + 1) + " -> Optimizer", spec.doc, ""});
  }
  MakeStrict(L, "optim");
  DefineType<optim::Optimizer>(L);
  RegisterRows(L, "optim", kOptimizerMethods);
  lua_pop(L, 1);
  lua_setfield(L, -2, "optim");
}

}  // namespace lanthorn::lua
