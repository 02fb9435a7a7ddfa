// Other processes: starting a companion, signals, waiting for the end of whoever holds the other end of stdin.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "bindings/runner/host.h"
#include "bindings/runner/spawn.h"

namespace lanthorn::runner {
namespace {

// companion(words, with_line): starts a program (words[1] is its path) that shares no file with this process. With a
// line its stdin is at end of file as soon as this process is gone or has closed the line. Gives its pid and the line's
// file descriptor, or nil, message.
int Companion(lua_State* L) {
  const std::vector<std::string> words = ReadWords(L, 1);
  int line[2] = {-1, -1};
  if (lua_toboolean(L, 2) && pipe2(line, O_CLOEXEC) != 0) return PushFailure(L, "pipe", errno);
  pid_t pid = 0;
  const int error = SpawnGroup(words, {}, line[0], /*output=*/-1, &pid);
  if (line[0] >= 0) close(line[0]);
  if (error != 0) {
    if (line[1] >= 0) close(line[1]);
    return PushFailure(L, words[0].c_str(), error);
  }
  lua_pushinteger(L, pid);
  lua_pushinteger(L, line[1]);
  return 2;
}

// close_line(fd): ends the line of a companion.
int CloseLine(lua_State* L) {
  close(static_cast<int>(luaL_checkinteger(L, 1)));
  return 0;
}

// reap(pid): takes the end of a child if it has ended; whether it has.
int Reap(lua_State* L) {
  lua_pushboolean(L, waitpid(static_cast<pid_t>(luaL_checkinteger(L, 1)), nullptr, WNOHANG) != 0);
  return 1;
}

// line_ended(seconds): waits for the end of stdin, at most so long; whether it came. What is written there is dropped.
int LineEnded(lua_State* L) {
  pollfd line{STDIN_FILENO, POLLIN, 0};
  char dropped[64];
  const int got = poll(&line, 1, static_cast<int>(luaL_checknumber(L, 1) * 1000));
  lua_pushboolean(L, got > 0 && read(STDIN_FILENO, dropped, sizeof dropped) <= 0);
  return 1;
}

// kill(pid, signal name, value): true, or nil, message. With a value the signal carries it (sigqueue).
int Kill(lua_State* L) {
  static const char* const kNames[] = {"INT", "QUIT", "CONT", "TERM", "KILL", "USR2", nullptr};
  static const int kSignals[] = {SIGINT, SIGQUIT, SIGCONT, SIGTERM, SIGKILL, SIGUSR2};
  const pid_t pid = static_cast<pid_t>(luaL_checkinteger(L, 1));
  const int number = kSignals[luaL_checkoption(L, 2, nullptr, kNames)];
  int rc;
  if (lua_isnoneornil(L, 3)) {
    rc = kill(pid, number);
  } else {
    sigval value{};
    value.sival_int = static_cast<int>(luaL_checkinteger(L, 3));
    rc = sigqueue(pid, number, value);
  }
  if (rc != 0) return PushFailure(L, "kill", errno);
  lua_pushboolean(L, 1);
  return 1;
}

// append(path, text): one write at the end of a file that exists, never waiting: for a pipe or a terminal of another
// process too. true, or nil, message.
int Append(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 2, &size);
  const int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return PushFailure(L, path, errno);
  // A terminal may stop who writes from the background; not who blocks the signal.
  sigset_t background, before;
  sigemptyset(&background);
  sigaddset(&background, SIGTTOU);
  sigprocmask(SIG_BLOCK, &background, &before);
  const ssize_t put = write(fd, text, size);
  const int error = put < 0 ? errno : EAGAIN;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  close(fd);
  if (put != static_cast<ssize_t>(size)) return PushFailure(L, path, error);
  lua_pushboolean(L, 1);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {
    {"companion", Companion}, {"close_line", CloseLine}, {"reap", Reap},    {"line_ended", LineEnded},
    {"kill", Kill},           {"append", Append},        {nullptr, nullptr}};

}  // namespace

void RegisterCompanions(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
