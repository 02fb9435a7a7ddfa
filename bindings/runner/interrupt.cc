// Signals for Lua. SIGINT: a flag that is polled, or an error raised in the running chunk by a debug hook, as luajit.c
// does it. Hooks do not fire in compiled loops, so the prompt keeps its chunks out of the JIT compiler.
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bindings/runner/host.h"

namespace lanthorn::runner {
namespace {

volatile sig_atomic_t interrupted = 0;
volatile sig_atomic_t raise_in_lua = 0;
lua_State* watched = nullptr;

void RaiseFromHook(lua_State* L, lua_Debug*) {
  lua_sethook(L, nullptr, 0, 0);
  interrupted = 0;
  luaL_error(L, "interrupted");
}

void OnSignal(int) {
  if (interrupted && raise_in_lua) signal(SIGINT, SIG_DFL);  // the chunk did not react to the first one: the next kills
  interrupted = 1;
  if (raise_in_lua) lua_sethook(watched, RaiseFromHook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

volatile sig_atomic_t leave_signal = 0;

// Of a prompt that is to end: what runs is interrupted, too.
void OnLeave(int number) {
  if (leave_signal != 0) _exit(128 + number);  // the first had no effect
  leave_signal = number;
  OnSignal(number);
}

// leave_signal(): the SIGTERM or SIGHUP that came since watch_interrupt, or nil.
int LeaveSignal(lua_State* L) {
  if (leave_signal == 0) return 0;
  lua_pushinteger(L, leave_signal);
  return 1;
}

// watch_interrupt(mode): "flag" (poll interrupted()), "raise" (an error in the running Lua code) or "default". In the
// first two SIGTERM and SIGHUP interrupt too, and are told by leave_signal().
int WatchInterrupt(lua_State* L) {
  static const char* const kModes[] = {"flag", "raise", "default", nullptr};
  const int mode = luaL_checkoption(L, 1, nullptr, kModes);
  interrupted = 0;
  raise_in_lua = mode == 1;
  lua_sethook(L, nullptr, 0, 0);
  watched = L;
  struct sigaction action {};
  action.sa_handler = mode == 2 ? SIG_DFL : OnSignal;
  sigemptyset(&action.sa_mask);  // no SA_RESTART: a waiting read must return
  sigaction(SIGINT, &action, nullptr);
  if (mode != 2) action.sa_handler = OnLeave;
  for (const int number : {SIGTERM, SIGHUP}) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);  // as under nohup
  }
  return 0;
}

// interrupted(): whether SIGINT came since the last call.
int Interrupted(lua_State* L) {
  lua_pushboolean(L, TakeInterrupt());
  return 1;
}

constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGHUP};
volatile sig_atomic_t stop_signal = 0;

void OnStop(int number) { stop_signal = number; }

// watch_stop(on): SIGINT, SIGTERM and SIGHUP are kept for stop_signal() from now on, or act as usual again.
int WatchStop(lua_State* L) {
  stop_signal = 0;
  struct sigaction action {};
  action.sa_handler = lua_toboolean(L, 1) ? OnStop : SIG_DFL;
  sigemptyset(&action.sa_mask);  // no SA_RESTART: a wait must return
  for (const int number : kStopSignals) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);  // as under nohup
  }
  return 0;
}

// stop_signal(): the number of one of them that came since the last call, or nil.
int StopSignal(lua_State* L) {
  if (stop_signal == 0) return 0;
  lua_pushinteger(L, stop_signal);
  stop_signal = 0;
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"watch_interrupt", WatchInterrupt}, {"interrupted", Interrupted},
                                   {"leave_signal", LeaveSignal},       {"watch_stop", WatchStop},
                                   {"stop_signal", StopSignal},         {nullptr, nullptr}};

}  // namespace

bool TakeInterrupt() {
  const bool was = interrupted != 0;
  interrupted = 0;
  return was;
}

void RegisterInterrupt(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
