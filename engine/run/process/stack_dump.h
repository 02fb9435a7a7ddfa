// SIGQUIT prints what the process is at: the native stack of every thread, and what a hook adds (the bindings: the Lua
// stack). The process goes on.
//
// All threads are asked by a signal of their own for their registers, and wait; a forked child then walks the stacks in
// its copy of the memory, so that a lock held by an interrupted thread can stop the child alone, which ends by an
// alarm.
#pragma once

#include <string>

namespace lanthorn {

// Handles SIGQUIT from now on. Later calls do nothing.
void InstallStackDump();

// Where dumps go: the new file `<folder>/dumps/stacks-<unix ms>.txt`, which ends with the line "end", and stderr as
// well when it is a terminal. An empty folder: stderr alone.
void SetStackDumpFolder(const std::string& run_folder);

// Adds text to a dump by write(2); gets the registers that the main thread was interrupted with (a ucontext_t) or
// nothing. Runs in a forked child of an interrupted process: it must not allocate nor lock, and may crash.
using StackDumpHook = void (*)(const int* fds, int count, const void* registers);
void SetStackDumpHook(StackDumpHook hook);

// Called in the signal handler itself when a dump begins, so it must be safe there; for the record of signals.
using StackDumpNotice = void (*)(int signal);
void SetStackDumpNotice(StackDumpNotice notice);

}  // namespace lanthorn
