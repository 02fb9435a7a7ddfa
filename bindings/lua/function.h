// Engine functions for Lua: a table row of name, arguments, documentation and function. The rows feed `runner api`, the
// stubs in scripts/meta/ and the prompt's help, so a function without a row cannot be reached.
#pragma once

#include <string>
#include <vector>

#include "bindings/lua/lua.h"
#include "bindings/lua/thunk.h"

namespace lanthorn::lua {

// What Lua calls: a C++ function whose types are its signature (Typed<&F>, typed.h), or one that reads the stack
// itself (Thunk<&F>).
struct NativeFunction {
  // NOLINTNEXTLINE(google-explicit-constructor): a row names the function alone.
  constexpr NativeFunction(lua_CFunction function) : call(function) {}
  // describe(who, arguments) gives the signature and keeps both for messages.
  constexpr NativeFunction(lua_CFunction function, std::string (*signature)(const std::string&, const char*))
      : call(function), describe(signature) {}

  lua_CFunction call;
  std::string (*describe)(const std::string& who, const char* arguments) = nullptr;
};

struct FunctionRow {
  const char* name;  // "no_grad"; methods are "Module:parameters"
  // Names of the arguments of a typed function, with defaults: "updates, every=1". Else the whole signature in ATen's
  // schema grammar as far as it goes: "(function f, ...) -> ...".
  const char* arguments;
  const char* doc;
  NativeFunction function;
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
