#include "bindings/runner/host.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bindings/runner/library.h"
#include "engine/base/status.h"
#include "engine/base/text/terminal.h"

namespace lanthorn::runner {
namespace {

int Version(lua_State* L) {
  lua_pushliteral(L, LANTHORN_VERSION);
  return 1;
}

int IsATty(lua_State* L) {
  lua_pushboolean(L, isatty(static_cast<int>(luaL_checkinteger(L, 1))));
  return 1;
}

// columns(): width of the terminal behind stderr, else of $COLUMNS, else 80.
int Columns(lua_State* L) {
  lua_pushinteger(L, TerminalColumns());
  return 1;
}

// getenv(name): nil when it is not set, or set to nothing, which is the same to every reader of ours.
int GetEnv(lua_State* L) {
  const char* value = getenv(luaL_checkstring(L, 1));
  lua_pushstring(L, value != nullptr && *value != '\0' ? value : nullptr);
  return 1;
}

// setenv(name, value or nil): nil removes the variable.
int SetEnv(lua_State* L) {
  const char* name = luaL_checkstring(L, 1);
  const int rc = lua_isnoneornil(L, 2) ? unsetenv(name) : setenv(name, luaL_checkstring(L, 2), /*overwrite=*/1);
  if (rc != 0) return luaL_error(L, "setenv '%s': %s", name, strerror(errno));
  return 0;
}

// user_name(): of the user whose rights the process has; nil when there is no name for them.
int UserName(lua_State* L) {
  const passwd* entry = getpwuid(geteuid());
  lua_pushstring(L, entry != nullptr ? entry->pw_name : nullptr);
  return 1;
}

int Exit(lua_State* L) {
  const int code = static_cast<int>(luaL_optinteger(L, 1, 0));
  EndLineEdit();
  fflush(nullptr);
  exit(code);
}

int Now(lua_State* L) {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec));
  return 1;
}

// unix_time(): seconds since 1970 with fractions; os.time has none.
int UnixTime(lua_State* L) {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  lua_pushnumber(L, static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec));
  return 1;
}

// sleep(seconds): a signal ends it early.
int Sleep(lua_State* L) {
  const double seconds = luaL_checknumber(L, 1);
  if (!(seconds > 0)) return 0;
  timespec t{};
  t.tv_sec = static_cast<time_t>(seconds);
  t.tv_nsec = static_cast<long>((seconds - static_cast<double>(t.tv_sec)) * 1e9);
  nanosleep(&t, nullptr);
  return 0;
}

int Pid(lua_State* L) {
  lua_pushinteger(L, getpid());
  return 1;
}

int Hostname(lua_State* L) {
  char name[HOST_NAME_MAX + 1] = {};
  gethostname(name, HOST_NAME_MAX);
  lua_pushstring(L, name);
  return 1;
}

int Cores(lua_State* L) {
  lua_pushinteger(L, UsableCores());
  return 1;
}

// cpu_budget(): { cpus = logical CPUs of the affinity mask, cores = physical ones, quota = CPUs of the cgroup or nil }.
int Budget(lua_State* L) {
  const CpuBudget budget = ReadCpuBudget();
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, budget.cpus);
  lua_setfield(L, -2, "cpus");
  lua_pushinteger(L, budget.cores);
  lua_setfield(L, -2, "cores");
  if (budget.quota > 0) {
    lua_pushinteger(L, budget.quota);
    lua_setfield(L, -2, "quota");
  }
  return 1;
}

// embedded(path): contents of a library file, or nil.
int Embedded(lua_State* L) {
  std::size_t size = 0;
  const char* path = luaL_checklstring(L, 1, &size);
  if (const auto text = ReadLibraryFile({path, size})) {
    lua_pushlstring(L, text->data(), text->size());
  } else {
    lua_pushnil(L);
  }
  return 1;
}

// embedded_list(prefix): sorted library paths that begin with it.
int EmbeddedList(lua_State* L) {
  const auto paths = ListLibraryFiles(luaL_optstring(L, 1, ""));
  lua_createtable(L, static_cast<int>(paths.size()), 0);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    lua_pushstring(L, paths[i].c_str());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"version", Version},
                                   {"isatty", IsATty},
                                   {"columns", Columns},
                                   {"getenv", GetEnv},
                                   {"setenv", SetEnv},
                                   {"exit", Exit},
                                   {"now", Now},
                                   {"unix_time", UnixTime},
                                   {"sleep", Sleep},
                                   {"pid", Pid},
                                   {"hostname", Hostname},
                                   {"cores", Cores},
                                   {"cpu_budget", Budget},
                                   {"embedded", Embedded},
                                   {"embedded_list", EmbeddedList},
                                   {"user_name", UserName},
                                   {nullptr, nullptr}};

}  // namespace

void RegisterProcess(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

int PushFailure(lua_State* L, const absl::Status& status) {
  lua_pushnil(L);
  lua_pushstring(L, MessageOf(status).c_str());
  return 2;
}

int PushOutcome(lua_State* L, const absl::Status& status) {
  if (!status.ok()) return PushFailure(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

int PushFailure(lua_State* L, const char* subject, int error_number) {
  lua_pushnil(L);
  lua_pushfstring(L, "'%s': %s", subject, strerror(error_number));
  return 2;
}

}  // namespace lanthorn::runner
