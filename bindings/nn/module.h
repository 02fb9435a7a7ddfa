// Modules in Lua: children and parameters as fields, calling, Lua-written forwards.
#pragma once

#include <memory>
#include <string>

#include "bindings/lua/userdata.h"
#include "bindings/tensor/tensor.h"
#include "engine/nn/module.h"

namespace lanthorn::lua {

LANTHORN_LUA_TYPE(nn::Module, "nn.Module");

// Pushes the one userdata of a module: fields that Lua set on it stay with it while anything refers to it. [-0, +1, m]
void PushModule(lua_State* L, const std::shared_ptr<nn::Module>& module);

template <>
struct ValueOf<std::shared_ptr<nn::Module>> {
  static std::string Type() { return "Module"; }
  static bool Read(lua_State* L, int index, std::shared_ptr<nn::Module>* value) {
    *value = ToObject<nn::Module>(L, index);
    return *value != nullptr;
  }
  static void Push(lua_State* L, const std::shared_ptr<nn::Module>& value) { PushModule(L, value); }
};

// Pushes a tensor that a module owns: set as a field of another module, it becomes that one's too. [-0, +1, m]
void PushMember(lua_State* L, const at::Tensor& tensor, Membership membership);

// A state from Lua (nil, a Tensor, or a list of them) and back. [-0, +0, e] and [-0, +1, m]
nn::State ReadState(lua_State* L, int index);
void PushState(lua_State* L, const nn::State& state);

// Calls module(input[, state]): the Lua forward where there is one, else the native one. On the stack's top lie the
// arguments; results replace them. Returns their number. [-n, +m, e]
int CallModule(lua_State* L, int module_index, int arguments);

// Add to the table on the top of the stack nn.Parameter and nn.Buffer, nn.Sequential and its kin, and, to the table of
// methods, those of modules. [-0, +0, m]
void RegisterParameters(lua_State* L);
void RegisterContainers(lua_State* L);
void RegisterModuleMethods(lua_State* L);

// Raises for a name under which something else answers: a layer, a parameter or a buffer must not take it.
void CheckMemberName(const nn::Module& module, const std::string& name);

// Adds RegisterContainers' functions and the type with its methods to the table on the top of the stack. [-0, +0, m]
void OpenModule(lua_State* L);

// Adds `nn` and `optim` to the module table on the top of the stack. [-0, +0, m]
void OpenNn(lua_State* L);
void OpenOptim(lua_State* L);

}  // namespace lanthorn::lua
