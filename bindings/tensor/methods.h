// Methods and fields of a tensor that are not operators; used by the metatable in metatable.cc.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

// Pushes the field `name`, such as t.shape; false (and nothing pushed) if there is none. [-0, +(0|1), m]
bool PushField(lua_State* L, const at::Tensor& tensor, const std::string& name);

// t.grad = g and t.requires_grad = true; false if `name` cannot be set. [-0, +0, e]
bool SetField(lua_State* L, const at::Tensor& tensor, const std::string& name, int value);

// Names of all fields and methods, for suggestions and completion.
std::vector<std::string> FieldNames();

// Adds the methods to the table on the top of the stack. [-0, +0, m]
void RegisterMethods(lua_State* L);

}  // namespace lanthorn::lua
