// Child processes that work for this one: their files and environment, and waiting for whichever ends first.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "bindings/runner/host.h"
#include "bindings/runner/spawn.h"

namespace lanthorn::runner {
namespace {

std::map<pid_t, int> children;  // pid to its pidfd; -1 where the kernel has none

// spawn(words, environment, output): starts words[1] in a process group of its own, so that Ctrl-C reaches it through
// us only; stdin is empty, both output streams are added to the file `output`. Gives its pid, or nil, message.
int Spawn(lua_State* L) {
  const std::vector<std::string> words = ReadWords(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  std::map<std::string, std::string> variables;
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING) variables[lua_tostring(L, -2)] = luaL_checkstring(L, -1);
  }
  const char* output = luaL_checkstring(L, 3);
  const int log = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (log < 0) return PushFailure(L, output, errno);
  pid_t pid = 0;
  const int error = SpawnGroup(words, variables, /*input=*/-1, log, &pid);
  close(log);
  if (error != 0) return PushFailure(L, words[0].c_str(), error);
  children[pid] = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  lua_pushinteger(L, pid);
  return 1;
}

// Sleeps until a child may have ended, a signal came or the time is over.
void WaitForAny(double seconds) {
  std::vector<pollfd> files;
  bool all_known = true;
  for (const auto& [pid, file] : children) {
    if (file >= 0) files.push_back({file, POLLIN, 0});
    all_known = all_known && file >= 0;
  }
  if (!all_known) seconds = seconds < 0.02 ? seconds : 0.02;
  poll(files.data(), files.size(), static_cast<int>(seconds * 1000));
}

// wait_children(seconds): those that ended, at most so long after the call: a list of { pid, code = or signal = }.
int WaitChildren(lua_State* L) {
  const double seconds = luaL_checknumber(L, 1);
  WaitForAny(seconds);
  lua_newtable(L);
  int count = 0;
  for (auto it = children.begin(); it != children.end();) {
    int status = 0;
    const pid_t ended = waitpid(it->first, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR)) {
      ++it;
      continue;
    }
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, it->first);
    lua_setfield(L, -2, "pid");
    const bool killed = ended > 0 && WIFSIGNALED(status);
    lua_pushinteger(L, killed ? WTERMSIG(status) : WEXITSTATUS(status));
    lua_setfield(L, -2, killed ? "signal" : "code");
    lua_rawseti(L, -2, ++count);
    if (it->second >= 0) close(it->second);
    it = children.erase(it);
  }
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"spawn", Spawn}, {"wait_children", WaitChildren}, {nullptr, nullptr}};

}  // namespace

void RegisterChildren(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
