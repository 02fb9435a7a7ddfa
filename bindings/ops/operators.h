// Every LibTorch operator in Lua, found by its schema: torch.foo(...), t:foo(...). No operator is wrapped by hand.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings/lua/lua.h"
#include "bindings/ops/schema.h"

namespace lanthorn::lua {

struct Overload {
  c10::OperatorHandle handle;
  Signature signature;
};

// All overloads of one name, such as add.Tensor, add.Scalar and add.out.
struct OperatorSet {
  std::string name;
  std::vector<Overload> overloads;
  bool default_dtype = false;  // Lua numbers decide no dtype here (torch.full)
  // Overloads chosen before, by CallKey. One thread touches Lua.
  mutable std::vector<std::pair<std::string, const Overload*>> chosen = {};
};

// The operators called `name` in the library lanthorn:: or aten::, or nullptr. The answer lives as long as the process.
const OperatorSet* FindOperator(const std::string& name);

// Every name that FindOperator knows, sorted.
const std::vector<std::string>& OperatorNames();

// Those that take a tensor first, and so are a tensor's methods, sorted.
const std::vector<std::string>& MethodNames();

// Pushes the function for `set`. [-0, +1, m]
void PushOperator(lua_State* L, const OperatorSet* set);

// Calls the best overload with the arguments from stack index `first` on; returns the number of results. [-0, +n, e]
int CallOperator(lua_State* L, const OperatorSet& set, int first);

}  // namespace lanthorn::lua
