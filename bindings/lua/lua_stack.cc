// The Lua stack in a dump of SIGQUIT. It is read in a forked child of a process that was interrupted anywhere, so
// nothing here allocates or runs Lua code.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>

#include "bindings/lua/ref.h"
#include "bindings/lua/running.h"
#include "engine/run/process/stack_dump.h"

namespace lanthorn::lua {
namespace {

constexpr int kMostLevels = 60;

lua_State* opened = nullptr;

struct Output {
  const int* fds;
  int count;
  void Write(const char* text, int size) const {
    for (int i = 0; i < count; ++i) (void)!write(fds[i], text, static_cast<size_t>(size));
  }
};

void PrintLevels(lua_State* L, const Output& output) {
  lua_Debug info;
  for (int level = 0; level < kMostLevels && lua_getstack(L, level, &info); ++level) {
    if (!lua_getinfo(L, "Snl", &info)) return;
    char line[512], place[128], name[256];
    if (info.currentline > 0) {
      snprintf(place, sizeof place, "%s:%d", info.short_src, info.currentline);
    } else {
      snprintf(place, sizeof place, "%s", info.short_src);
    }
    if (*info.what == 'm') {
      snprintf(name, sizeof name, "main chunk");
    } else if (info.name != nullptr) {
      snprintf(name, sizeof name, "function '%s'", info.name);
    } else {
      snprintf(name, sizeof name, "a function");
    }
    if (*info.what == 'L') {
      const size_t size = strlen(name);
      snprintf(name + size, sizeof name - size, " of lines %d-%d", info.linedefined, info.lastlinedefined);
    }
    const int size = snprintf(line, sizeof line, "  %s: in %s\n", place, name);
    output.Write(line, std::min(size, static_cast<int>(sizeof line) - 1));
  }
}

// The words of LuaJIT's lua_State that matter here. They follow each other in this order; where, is found by moving
// top.
struct StateWords {
  uintptr_t *base, *top, *limit, *bottom;
};
bool FindWords(lua_State* L, StateWords* words) {
  constexpr size_t kLookAt = 16;
  auto* word = reinterpret_cast<uintptr_t*>(L);
  uintptr_t before[kLookAt];
  memcpy(before, word, sizeof before);
  lua_pushnil(L);
  for (size_t i = 1; i + 2 < kLookAt; ++i) {
    if (word[i] != before[i] + 8) continue;
    *words = {word + i - 1, word + i, word + i + 1, word + i + 2};
    lua_pop(L, 1);
    return *words->bottom < *words->base && *words->top <= *words->limit;
  }
  return false;
}

// The interpreter keeps the frame it is in in a register and writes it back for calls into native code only. Compiled
// code wrote it back when it was entered.
void TakeInterpretersFrame(lua_State* L, const void* registers) {
#ifdef __x86_64__
  constexpr uintptr_t kFunctionTag = 0x1fff7;  // of a function in a slot: LuaJIT's LJ_TFUNC with 47 bits of address
  if (registers == nullptr) return;
  const auto& values = static_cast<const ucontext_t*>(registers)->uc_mcontext.gregs;
  const auto base = static_cast<uintptr_t>(values[REG_RDX]);
  Dl_info at{}, lua{};
  if (dladdr(reinterpret_cast<void*>(values[REG_RIP]), &at) == 0 ||
      dladdr(reinterpret_cast<void*>(&lua_gettop), &lua) == 0 || at.dli_fbase != lua.dli_fbase) {
    return;
  }
  StateWords words;
  if (!FindWords(L, &words) || base % 8 != 0 || base <= *words.bottom + 16 || base > *words.limit) return;
  if (reinterpret_cast<const uintptr_t*>(base)[-2] >> 47 == kFunctionTag) *words.base = *words.top = base;
#endif
}

void PrintStack(const int* fds, int count, const void* registers) {
  const Output output{fds, count};
  lua_State* L = RunningState() != nullptr ? RunningState() : opened;
  output.Write("\nLua\n", 5);
  TakeInterpretersFrame(L, registers);
  PrintLevels(L, output);
}

}  // namespace

void AddLuaStackToDumps(lua_State* L) {
  opened = AnchoredState(L);
  SetStackDumpHook(&PrintStack);
}

}  // namespace lanthorn::lua
