// The Lua module `host`: what the operating system and the terminal offer to the Lua library. Each Register function
// adds its functions to the table on top of the stack [-0, +0, m].
#pragma once

#include <lua.hpp>

#include "engine/base/status.h"

namespace lanthorn::runner {

void RegisterProcess(lua_State* L);     // host.cc: environment, clock, terminal, library files
void RegisterFiles(lua_State* L);       // host_files.cc: paths, folders, whole files, hashes
void RegisterCompanions(lua_State* L);  // host_process.cc: other processes
void RegisterInterrupt(lua_State* L);   // interrupt.cc: SIGINT as a flag or a Lua error
void RegisterChildren(lua_State* L);    // host_children.cc: child processes whose end is waited for
void RegisterRunFiles(lua_State* L);    // run_files.cc: files of run directories
void RegisterClaims(lua_State* L);      // claims.cc: work that processes share
void RegisterSobol(lua_State* L);       // sobol.cc: quasi-random points
void RegisterStudentT(lua_State* L);    // student_t.cc: quantiles of Student's t
void RegisterLineEdit(lua_State* L);    // line_edit.cc: line editing and history
void RegisterUnixSocket(lua_State* L);  // unix_socket.cc: the client's end of `runner attach`
void RegisterOptionRows(lua_State* L);  // option_rows.cc: the options that the engine declares
void EndLineEdit();                     // restores the terminal; call once before the process ends

// What this process may use of the machine's CPUs.
struct CpuBudget {
  int cpus = 1;   // logical CPUs of its affinity mask
  int cores = 1;  // distinct physical cores among them
  int quota = 0;  // whole CPUs the cgroup allows, at least 1; 0 for no quota
};
CpuBudget ReadCpuBudget();

// How many threads are worth starting: the cores, cut at the quota; at least 1.
int UsableCores();

// True once after SIGINT came while the interrupt module watches for it.
bool TakeInterrupt();

// [-0, +2, m] Pushes nil and a message. Returns 2, for `return PushFailure(L, ...)`.
int PushFailure(lua_State* L, const char* subject, int error_number);
int PushFailure(lua_State* L, const absl::Status& status);

// [-0, +1 or +2, m] Pushes true, or nil and a message.
int PushOutcome(lua_State* L, const absl::Status& status);

}  // namespace lanthorn::runner
