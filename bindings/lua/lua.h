// The plain Lua C API (LuaJIT 2.1).
#pragma once

extern "C" {
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
}
