// The module userdata. Fields that Lua sets live in its environment table (LuaJIT's lua_setfenv), beside strong
// references to the children that were added from Lua, so that a child keeps its Lua forward.
#include "bindings/nn/module.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "bindings/lua/function.h"
#include "bindings/lua/running.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/text/nearest.h"
#include "engine/train/report/progress.h"

namespace lanthorn::lua {
namespace {

constexpr char kCache[] = "lanthorn.modules";  // registry: module pointer -> userdata, weak values

std::shared_ptr<nn::Module> Self(lua_State* L, const char* method) { return CheckObject<nn::Module>(L, 1, method); }

// Pushes the userdata of a module; false, with nothing pushed, when it has none any more. [-0, +(0|1), -]
bool PushKnown(lua_State* L, const nn::Module* module) {
  lua_getfield(L, LUA_REGISTRYINDEX, kCache);
  lua_pushlightuserdata(L, const_cast<nn::Module*>(module));
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (ToObject<nn::Module>(L, lua_gettop(L)).get() == module) return true;
  lua_pop(L, 1);
  return false;
}

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

// Calls the Lua forward of a module for native code, in the Lua thread that called that code. The function stays in the
// environment of the module's userdata alone, where the collector sees it: a reference from here would keep alive
// whatever the function refers to, the module itself too.
at::Tensor CallScripted(nn::Module* module, const at::Tensor& input, nn::State* state) {
  lua_State* L = RunningState();
  LANTHORN_CHECK(L != nullptr);
  const int top = lua_gettop(L);
  TORCH_CHECK(lua_checkstack(L, 16), "[", module->kind(), "] the Lua stack is full");
  if (!PushKnown(L, module)) {
    TORCH_CHECK(false, "[", module->kind(), "] its Lua forward is gone: nothing in Lua refers to the module any more");
  }
  lua_getfenv(L, -1);
  lua_getfield(L, -1, "forward");
  lua_replace(L, -2);
  lua_insert(L, -2);  // forward, module
  PushTensor(L, input);
  if (state != nullptr && !state->empty()) {
    PushState(L, *state);
  } else {
    lua_pushnil(L);
  }
  const absl::Status status = CallLua(L, 3, 2);
  at::Tensor output;
  std::string given;
  if (status.ok()) {
    if (const TensorBox* box = ToTensorBox(L, top + 1)) output = box->tensor;
    given = Describe(L, top + 1);
    if (state != nullptr) *state = ReadState(L, top + 2);
  }
  lua_settop(L, top);
  Check(status);
  TORCH_CHECK(output.defined(), "[", module->kind(), "] its Lua forward must return a Tensor first, got ", given);
  return output;
}

// field 'forward' is set to the value at 3.
void SetForward(lua_State* L, nn::Module* module) {
  if (!lua_isnil(L, 3) && !lua_isfunction(L, 3))
    throw UsageError(module->kind() + ": forward must be a function (model, input, state), got " + Describe(L, 3));
  nn::Module::ScriptedForward forward;
  if (!lua_isnil(L, 3)) {
    forward = [module](const at::Tensor& input, nn::State* state) { return CallScripted(module, input, state); };
  }
  module->SetScriptedForward(std::move(forward));
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
    PushMember(L, own, module->IsBuffer(name) ? Membership::kBuffer : Membership::kParameter);
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

// A field set to a tensor that is, or becomes, the module's own; false for any other tensor, a field like any other.
bool SetOwnTensor(lua_State* L, nn::Module& module, const std::string& name, const TensorBox& box) {
  const bool known = module.Own(name).defined();
  if (!known && box.membership == Membership::kNone) return false;
  const at::Tensor tensor = CheckTensor(L, 3, name.c_str());
  if (!known) {
    CheckMemberName(module, name);
    if (box.membership == Membership::kBuffer) {
      module.AddBuffer(name, tensor);
    } else {
      module.AddParameter(name, tensor);
    }
    return true;
  }
  const bool leaf = tensor.requires_grad() && tensor.is_leaf();
  if (!module.IsBuffer(name) && box.membership != Membership::kParameter && !leaf) {
    throw UsageError(
        module.kind() + ": '" + name +
        "' is a parameter, but this tensor is not, so it would not be trained; assign nn.Parameter(tensor), "
        "or copy the values with module." +
        name + ":detach():copy_(tensor)");
  }
  Check(module.Tie(name, tensor));
  return true;
}

int NewIndex(lua_State* L) {
  const auto module = Self(L, "nn.Module");
  const std::string name = luaL_checkstring(L, 2);
  bool own = false;
  if (const auto child = ToObject<nn::Module>(L, 3)) {
    CheckMemberName(*module, name);
    module->AddChild(name, child);
  } else if (const TensorBox* box = ToTensorBox(L, 3)) {
    own = SetOwnTensor(L, *module, name, *box);
  } else if (module->Own(name).defined()) {
    throw UsageError(module->kind() + ": '" + name + "' is a " + (module->IsBuffer(name) ? "buffer" : "parameter") +
                     ", expected a Tensor, got " + Describe(L, 3));
  } else if (module->Child(name) != nullptr) {
    throw UsageError(module->kind() + " already has a layer '" + name + "'");
  } else if (name == "forward") {
    SetForward(L, module.get());
  }
  lua_getfenv(L, 1);
  lua_pushvalue(L, 2);
  if (own) {
    lua_pushnil(L);  // a field set before must not hide it
  } else {
    lua_pushvalue(L, 3);
  }
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

// A line of the tree that the prompt shows: a module, how many parameters are its own, and their shapes.
struct TreeLine {
  std::string module, shapes;
  int64_t own = 0;
};

std::string ShapesOf(const std::vector<nn::NamedParameter>& parameters) {
  constexpr size_t kShown = 2;
  std::vector<std::string> parts;
  for (size_t i = 0; i < std::min(parameters.size(), kShown); ++i)
    parts.push_back(absl::StrCat(parameters[i].name, " (", absl::StrJoin(parameters[i].tensor.sizes(), ", "), ")"));
  if (parameters.size() > kShown) parts.push_back(absl::StrCat("and ", parameters.size() - kShown, " more"));
  return absl::StrJoin(parts, ", ");
}

void AddTreeLines(const nn::Module& module, const std::string& indent, const std::string& name,
                  std::vector<TreeLine>* lines) {
  TreeLine line{absl::StrCat(indent, name.empty() ? "" : "(" + name + ") ", module.Describe()), "", 0};
  std::vector<nn::NamedParameter> own;
  for (const nn::NamedParameter& one : module.StateDict()) {
    const bool is_own = one.name.find('.') == std::string::npos && !module.IsBuffer(one.name);
    if (is_own) own.push_back(one);
  }
  for (const nn::NamedParameter& parameter : own) line.own += parameter.tensor.numel();
  line.shapes = ShapesOf(own);
  lines->push_back(std::move(line));
  for (const auto& [child_name, child] : module.children()) AddTreeLines(*child, indent + "  ", child_name, lines);
}

int Show(lua_State* L) {
  const nn::Module& module = *Self(L, "__show");
  std::vector<TreeLine> lines;
  AddTreeLines(module, "", "", &lines);
  size_t width = 0, digits = 0;
  for (const TreeLine& line : lines) {
    width = std::max(width, line.module.size());
    digits = std::max(digits, train::FormatCount(line.own).size());
  }
  std::string text;
  for (const TreeLine& line : lines) {
    absl::StrAppend(&text, line.module);
    if (line.own > 0)
      absl::StrAppendFormat(&text, "%*s  %*s  %s", static_cast<int>(width - line.module.size()), "",
                            static_cast<int>(digits), train::FormatCount(line.own), line.shapes);
    text += "\n";
  }
  absl::StrAppend(&text, train::FormatCount(module.ParameterCount()), " parameters");
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

int Equal(lua_State* L) {
  lua_pushboolean(L, ToObject<nn::Module>(L, 1) == ToObject<nn::Module>(L, 2));
  return 1;
}

}  // namespace

void CheckMemberName(const nn::Module& module, const std::string& name) {
  const auto is_method = [&](const ApiRow& row) { return row.name == "Module:" + name; };
  if (name == "forward" || name == "training" || name == "kind" || absl::c_any_of(Api(), is_method)) {
    throw UsageError(module.kind() + ": '" + name +
                     "' means something else for every module; choose another name for the member");
  }
}

void PushModule(lua_State* L, const std::shared_ptr<nn::Module>& module) {
  if (PushKnown(L, module.get())) return;
  PushObject(L, module);
  lua_newtable(L);
  lua_setfenv(L, -2);
  lua_getfield(L, LUA_REGISTRYINDEX, kCache);
  lua_pushlightuserdata(L, module.get());
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void PushMember(lua_State* L, const at::Tensor& tensor, Membership membership) {
  PushTensor(L, tensor);
  ToTensorBox(L, lua_gettop(L))->membership = membership;
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
  if (module->MostInputs() > 1) {
    std::vector<at::Tensor> inputs;
    for (int i = first; i < first + arguments; ++i) {
      const std::string what = absl::StrCat(module->kind(), ": input ", i - first + 1);
      inputs.push_back(lua_isnil(L, i) ? at::Tensor() : CheckTensor(L, i, what.c_str()));
    }
    if (arguments > module->MostInputs()) {
      throw UsageError(
          absl::StrCat(module->kind(), ": takes at most ", module->MostInputs(), " inputs, got ", arguments));
    }
    PushTensor(L, module->ForwardAll(inputs));
    return 1;
  }
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
  RegisterContainers(L);
  DefineType<nn::Module>(L);  // leaves the methods
  RegisterModuleMethods(L);
  luaL_getmetatable(L, TypeName<nn::Module>::kName);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, &Thunk<&Index>, 1);
  lua_setfield(L, -2, "__index");
  const luaL_Reg meta[] = {{"__newindex", &Thunk<&NewIndex>}, {"__complete", &Thunk<&Complete>},
                           {"__call", &Thunk<&CallMeta>},     {"__tostring", &Thunk<&ToString>},
                           {"__show", &Thunk<&Show>},         {"__eq", &Thunk<&Equal>}};
  for (const luaL_Reg& entry : meta) {
    lua_pushcfunction(L, entry.func);
    lua_setfield(L, -2, entry.name);
  }
  lua_pop(L, 2);
}

}  // namespace lanthorn::lua
