// The table `optim`: one function per registered optimiser, read by its signature, and functions on gradients.
#include "absl/strings/str_cat.h"
#include "bindings/lua/strict.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/nn/optimizer.h"
#include "bindings/ops/function_call.h"
#include "bindings/tensor/tensor.h"

namespace lanthorn::lua {
namespace {

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
  Check(optim::CheckOptions(signature.text.substr(0, signature.text.find('(')), options));
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

void Step(optim::Optimizer& self) { self.Step(); }

void ZeroGrad(optim::Optimizer& self) {
  for (auto& group : self.groups()) {
    for (auto& parameter : group.parameters) parameter.tensor.mutable_grad() = at::Tensor();
  }
}

void SetLrFactor(optim::Optimizer& self, double factor) {
  if (!(factor >= 0)) throw UsageError("set_lr_factor: the factor must not be negative");
  self.SetLrFactor(factor);
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const optim::OptimizerSpec& spec : optim::Optimizers()) names.push_back(spec.name());
  return names;
}

double GradNorm(lua_State* L, Anything parameters) {
  return optim::GradientNorm(ReadParameters(L, parameters.index, "optim.grad_norm"));
}

double ClipGradNorm(lua_State* L, Anything parameters, double max_norm) {
  const auto list = ReadParameters(L, parameters.index, "optim.clip_grad_norm_");
  const double norm = optim::GradientNorm(list);
  optim::ClipNorm(list, max_norm, norm);
  return norm;
}

void ClipGradValue(lua_State* L, Anything parameters, double limit) {
  optim::ClipValue(ReadParameters(L, parameters.index, "optim.clip_grad_value_"), limit);
}

const std::vector<FunctionRow> kMethods = {
    {"Optimizer:step", "", "One update from the gradients.", Typed<&Step>},
    {"Optimizer:zero_grad", "", "Forgets the gradients of its parameters.", Typed<&ZeroGrad>},
    {"Optimizer:set_lr_factor", "factor", "Multiplies every group's base learning rate.", Typed<&SetLrFactor>},
    {"Optimizer:lr", "", "The learning rate of the first group now.", Typed<&optim::Optimizer::lr>},
    {"Optimizer:name", "", "The name it was made by, such as Adam.", Typed<&optim::Optimizer::name>},
    {"Optimizer:slots_per_element", "", "Numbers of state for each element of a parameter.",
     Typed<&optim::Optimizer::SlotsPerElement>},
};
const std::vector<FunctionRow> kFunctions = {
    {"names", "", "Names of all optimisers.", Typed<&Names>},
    {"grad_norm", "model_or_parameters", "Norm of all gradients together.", Typed<&GradNorm>},
    {"clip_grad_norm_", "model_or_parameters, max_norm",
     "Scales the gradients to at most this norm; gives the norm before.", Typed<&ClipGradNorm>},
    {"clip_grad_value_", "model_or_parameters, limit", "Limits every gradient element to [-limit, limit].",
     Typed<&ClipGradValue>},
};

}  // namespace

void OpenOptim(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "optim", kFunctions);
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
  RegisterRows(L, "optim", kMethods);
  lua_pop(L, 1);
  lua_setfield(L, -2, "optim");
}

}  // namespace lanthorn::lua
