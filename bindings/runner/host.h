// The Lua module `host`: what the operating system and the terminal offer to the Lua library. Each Register function
// adds its functions to the table on top of the stack [-0, +0, m].
#pragma once

#include <lua.hpp>

namespace lanthorn::runner {

void RegisterProcess(lua_State* L);    // host.cc: environment, clock, terminal, library files
void RegisterFiles(lua_State* L);      // host_files.cc: paths and folders
void RegisterInterrupt(lua_State* L);  // interrupt.cc: SIGINT as a flag or a Lua error
void RegisterLineEdit(lua_State* L);   // line_edit.cc: line editing and history
void EndLineEdit();                    // restores the terminal; call once before the process ends

// CPU cores this process may use: distinct physical cores of its affinity mask, cut at the cgroup's quota; at least 1.
int UsableCores();

// True once after SIGINT came while the interrupt module watches for it.
bool TakeInterrupt();

// [-0, +2, m] Pushes nil and a message. Returns 2, for `return PushFailure(L, ...)`.
int PushFailure(lua_State* L, const char* subject, int error_number);

}  // namespace lanthorn::runner
