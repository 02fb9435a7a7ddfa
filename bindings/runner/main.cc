// The runner: a LuaJIT state, the module `host`, and the embedded library's boot/start.lua, which does the rest.
// Nothing here is linked to LibTorch; the native module is opened at the first `require` of something native.
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "bindings/runner/host.h"
#include "bindings/runner/library.h"

namespace lanthorn::runner {
namespace {

constexpr int kExitInternal = 1;
constexpr int kExitUsage = 2;

struct CommandLine {
  std::vector<std::string> arguments;
  std::string scripts;  // folder of --scripts
  bool valid = true;
};

// Takes `--scripts DIR` out: it decides where the rest of the command line's reader comes from. After "--" the
// arguments belong to the script.
CommandLine ReadCommandLine(int argc, char** argv) {
  CommandLine line;
  bool ours = true;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    ours = ours && argument != "--";
    if (ours && argument == "--scripts") {
      line.valid = i + 1 < argc;
      if (line.valid) line.scripts = argv[++i];
    } else if (ours && argument.starts_with("--scripts=")) {
      line.scripts = argument.substr(strlen("--scripts="));
    } else {
      line.arguments.push_back(argument);
    }
  }
  struct stat info {};
  if (!line.scripts.empty() && (stat(line.scripts.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))) line.valid = false;
  return line;
}

std::string OwnFolder() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return ".";
  const std::string executable(path, static_cast<std::size_t>(size));
  return executable.substr(0, executable.rfind('/'));
}

// [-1, +1, e] Message handler for errors of the library itself; scripts run under the handler of boot/traceback.lua.
int Traceback(lua_State* L) {
  if (lua_tostring(L, 1) == nullptr && luaL_callmeta(L, 1, "__tostring")) lua_replace(L, 1);
  const char* message = lua_tostring(L, 1);
  luaL_traceback(L, L, message != nullptr ? message : "(error object is not a string)", 1);
  return 1;
}

// [-0, +0, e] package.loaded.host = the host module; `scripts` is the folder of --scripts.
void InstallHost(lua_State* L, const std::string& scripts) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_newtable(L);
  RegisterProcess(L);
  RegisterFiles(L);
  RegisterCompanions(L);
  RegisterInterrupt(L);
  RegisterRunFiles(L);
  RegisterChildren(L);
  RegisterClaims(L);
  RegisterSobol(L);
  RegisterStudentT(L);
  RegisterLineEdit(L);
  RegisterUnixSocket(L);
  RegisterOptionRows(L);
  lua_pushstring(L, OwnFolder().c_str());
  lua_setfield(L, -2, "folder");
  lua_pushliteral(L, LANTHORN_OPENBLAS);  // path of the library that lanthorn.so is linked with
  lua_setfield(L, -2, "openblas");
  if (!scripts.empty()) {
    lua_pushstring(L, scripts.c_str());
    lua_setfield(L, -2, "scripts");
  }
  lua_setfield(L, -2, "host");
  lua_pop(L, 1);
}

struct Boot {
  const CommandLine* line;
  int code = kExitInternal;
};

// [-1, +0, e] Runs boot/start.lua with the arguments in a table; argument 1 is the Boot.
int RunBoot(lua_State* L) {
  auto* boot = static_cast<Boot*>(lua_touserdata(L, 1));
  luaL_openlibs(L);
  InstallHost(L, boot->line->scripts);
  const auto text = ReadLibraryFile("boot/start.lua");
  if (!text) return luaL_error(L, "the binary holds no boot/start.lua");
  if (luaL_loadbufferx(L, text->data(), text->size(), "=[lanthorn]/boot/start.lua", "t") != 0) return lua_error(L);
  lua_createtable(L, static_cast<int>(boot->line->arguments.size()), 0);
  for (std::size_t i = 0; i < boot->line->arguments.size(); ++i) {
    lua_pushlstring(L, boot->line->arguments[i].data(), boot->line->arguments[i].size());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  lua_call(L, 1, 1);
  boot->code = static_cast<int>(lua_tointeger(L, -1));
  return 0;
}

// A stream that is closed (2>&-) leaves its number to the next file that is opened, and what is said on stderr would
// end up in metrics.jsonl.
void FillClosedStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
  }
}

int Main(int argc, char** argv) {
  FillClosedStreams();
  setlocale(LC_CTYPE, "");  // libedit reads wide characters; numbers stay in the C locale
  // An environment without a locale, as in most containers, knows bytes below 128 alone.
  if (strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0) setlocale(LC_CTYPE, "C.UTF-8");
  signal(SIGPIPE, SIG_IGN);  // a closed console never ends a run
  CommandLine line = ReadCommandLine(argc, argv);
  if (!line.valid) {
    fprintf(stderr, "error: --scripts needs a folder, got '%s'\n", line.scripts.c_str());
    return kExitUsage;
  }
  SetLibraryOverride(line.scripts);
  lua_State* L = luaL_newstate();
  if (L == nullptr) {
    fprintf(stderr, "error: no memory for the Lua state\n");
    return kExitInternal;
  }
  Boot boot{&line};
  lua_pushcfunction(L, Traceback);
  lua_pushcfunction(L, RunBoot);
  lua_pushlightuserdata(L, &boot);
  if (lua_pcall(L, 1, 0, 1) != 0) {
    fprintf(stderr, "error: %s\n", lua_tostring(L, -1));
    boot.code = kExitInternal;
  }
  EndLineEdit();
  lua_close(L);
  return boot.code;
}

}  // namespace
}  // namespace lanthorn::runner

int main(int argc, char** argv) { return lanthorn::runner::Main(argc, argv); }
