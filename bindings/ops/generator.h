// A random generator of its own (torch.Generator), so that sampling does not move the stream that training draws from.
#pragma once

#include <ATen/core/Generator.h>

#include "bindings/lua/userdata.h"

namespace lanthorn::lua {

struct Generator {
  at::Generator generator;
};
LANTHORN_LUA_TYPE(Generator, "torch.Generator");

// Adds torch.Generator, torch.manual_seed, torch.seed to the table on the top of the stack. [-0, +0, m]
void OpenGenerator(lua_State* L);

}  // namespace lanthorn::lua
