// Which Lua thread the native code that runs now was called from. Only that one may be used by native code that calls
// Lua on its own account, such as batches made by a Lua function: any other may be waiting for a coroutine.
#pragma once

#include <atomic>

#include "bindings/lua/lua.h"

namespace lanthorn::lua {

namespace internal {
inline std::atomic<lua_State*> running{nullptr};  // also read by a signal handler
inline int nested = 0;                            // native functions that run inside one another
}  // namespace internal

// nullptr while no native function runs.
inline lua_State* RunningState() { return internal::running.load(std::memory_order_relaxed); }

class RunningScope {
 public:
  explicit RunningScope(lua_State* L) : before_(RunningState()) {
    internal::running.store(L, std::memory_order_relaxed);
    ++internal::nested;
  }
  ~RunningScope() {
    --internal::nested;
    internal::running.store(before_, std::memory_order_relaxed);
  }
  // How many native functions run, this one included: each holds a part of the C stack, whose end is a crash.
  static int Nested() { return internal::nested; }
  RunningScope(const RunningScope&) = delete;
  RunningScope& operator=(const RunningScope&) = delete;

 private:
  lua_State* before_;
};

// Whether Ctrl-C waits to be raised in Lua, as the prompt does it: by a hook at the next instruction. Native code that
// takes long asks now and then, and returns.
inline bool InterruptPending() {
  lua_State* L = RunningState();
  return L != nullptr && (lua_gethookmask(L) & LUA_MASKCOUNT) != 0 && lua_gethookcount(L) == 1;
}

// Lets dumps of SIGQUIT (engine/run/process/stack_dump.h) show the Lua stack: of the running thread, else of the one
// that opened the module. [-0, +0, -]
void AddLuaStackToDumps(lua_State* L);

}  // namespace lanthorn::lua
