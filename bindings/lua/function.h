// Engine functions for Lua: a table row of name, signature, documentation and pointer. The rows feed `runner api`, the
// stubs in scripts/meta/ and the prompt's help, so a function without a row cannot be reached.
#pragma once

#include <string>
#include <vector>

#include "bindings/lua/lua.h"
#include "bindings/lua/thunk.h"

namespace lanthorn::lua {

struct FunctionRow {
  const char* name;       // "no_grad"; methods are "Module:parameters"
  const char* signature;  // in ATen's schema grammar as far as it goes: "(str path) -> dict"
  const char* doc;
  lua_CFunction function;
  const char* example = "";
};

// Sets the rows' functions in the table on the top of the stack and remembers them as part of `module`. [-0, +0, m]
void RegisterRows(lua_State* L, const std::string& module, const std::vector<FunctionRow>& rows);

struct ApiRow {
  std::string module, name, signature, doc, example;
};

// Documentation of everything registered so far, layers and optimisers included.
std::vector<ApiRow>& Api();

}  // namespace lanthorn::lua
