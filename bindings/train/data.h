// Texts and batches in Lua.
#pragma once

#include "bindings/lua/userdata.h"
#include "engine/data/domains.h"
#include "engine/data/tensors.h"
#include "engine/data/text.h"
#include "engine/data/text/leak.h"

namespace lanthorn::lua {

LANTHORN_LUA_TYPE(data::Text, "data.Text");
LANTHORN_LUA_TYPE(data::Batches, "data.Batches");
LANTHORN_LUA_TYPE(data::Domains, "data.Domains");

// Adds the function that makes batches from a Lua function to the table on the top of the stack. [-0, +0, m]
void RegisterLuaBatches(lua_State* L);
// Adds the function that opens several texts to the table on the top of the stack. [-0, +0, m]
void RegisterDomains(lua_State* L);
// Adds the functions that read tables, arrays and pictures to the table on the top of the stack. [-0, +0, m]
void RegisterDataFiles(lua_State* L);
// What becomes of carriage returns: 'keep', 'lf', or 'ask', which refuses a text that has some and names the option
// `section`.newlines.
void SetNewlines(const std::string& name, const char* section, data::TokenFileOptions* options);
// {block=, blocks=, shared=, searched=} on the stack. [-0, +1, m]
void PushLeak(lua_State* L, const data::Leak& leak);
// Adds `data` to the module table on the top of the stack. [-0, +0, m]
void OpenData(lua_State* L);

}  // namespace lanthorn::lua
