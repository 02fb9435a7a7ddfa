#include "bindings/lua/thunk.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "absl/strings/cord.h"
#include "bindings/lua/running.h"
#include "engine/base/memory/memory.h"
#include "engine/base/status.h"

namespace lanthorn::lua {
namespace {

constexpr char kErrorMetatable[] = "lanthorn.error";  // set up by the runner's Lua library; absent in a plain LuaJIT
constexpr char kTracebackPayload[] = "lanthorn/traceback";

// Calls between native code and Lua that may be inside one another, as in plain Lua (LUAI_MAXCCALLS): each takes
// some of the C stack.
constexpr int kMostNested = 200;

// "net.lua:9 (199 times) < net.lua:12": where the calls of user code that are under way stand, the innermost first.
std::string CallChain(lua_State* L) {
  constexpr int kMostLevels = 2000;
  constexpr size_t kShown = 6;
  std::vector<std::pair<std::string, int>> places;
  lua_Debug info;
  for (int level = 0; level < kMostLevels && lua_getstack(L, level, &info); ++level) {
    lua_getinfo(L, "Sl", &info);
    if (info.currentline <= 0 || std::strncmp(info.source, "=[lanthorn]", 11) == 0) continue;
    const std::string place = std::string(info.short_src) + ":" + std::to_string(info.currentline);
    const auto known =
        std::find_if(places.begin(), places.end(), [&](const auto& entry) { return entry.first == place; });
    if (known != places.end()) {
      ++known->second;
    } else {
      places.emplace_back(place, 1);
    }
  }
  std::string text;
  for (size_t i = 0; i < std::min(places.size(), kShown); ++i) {
    text += (i > 0 ? " < " : "") + places[i].first;
    if (places[i].second > 1) text += " (" + std::to_string(places[i].second) + " times)";
  }
  return places.size() > kShown ? text + " < ..." : text;
}

// LibTorch's messages carry "Exception raised from ..." and a native stack below the first part; users want neither.
std::string WithoutBacktrace(const char* text) {
  std::string message(text);
  if (const size_t at = message.find("\nException raised from"); at != std::string::npos) message.resize(at);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return message;
}

// Pushes the error value: an object with an exit code where the library defines one, otherwise a string. [-0, +1, m]
void PushError(lua_State* L, const std::string& message, int code, bool positioned) {
  const std::string text = positioned ? message : UserPosition(L) + message;
  luaL_getmetatable(L, kErrorMetatable);
  if (code == 1 || lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushlstring(L, text.data(), text.size());
    return;
  }
  lua_createtable(L, 0, 2);
  lua_pushlstring(L, text.data(), text.size());
  lua_setfield(L, -2, "message");
  lua_pushinteger(L, code);
  lua_setfield(L, -2, "code");
  lua_insert(L, -2);
  lua_setmetatable(L, -2);
}

// Message handler: {error value, traceback}, so that an error object keeps its exit code. [-1, +1, m]
int AddTraceback(lua_State* L) {
  luaL_traceback(L, L, nullptr, 1);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, 2);
  return 1;
}

std::string ToText(lua_State* L, int index) {
  if (luaL_callmeta(L, index, "__tostring")) {
    std::string text(lua_tostring(L, -1) ? lua_tostring(L, -1) : "");
    lua_pop(L, 1);
    return text;
  }
  if (const char* text = lua_tostring(L, index)) return text;
  return std::string("(a ") + luaL_typename(L, index) + " value was raised)";
}

}  // namespace

bool WantsFullErrors() {
  const char* given = std::getenv("RUNNER_FULL_ERROR");
  return given != nullptr && *given != '\0';
}

StatusError::StatusError(absl::Status status) : status_(std::move(status)), message_(MessageOf(status_)) {}

std::string UserPosition(lua_State* L) {
  lua_Debug info;
  for (int level = 0; lua_getstack(L, level, &info); ++level) {
    lua_getinfo(L, "Sl", &info);
    if (info.currentline <= 0 || std::strncmp(info.source, "=[lanthorn]", 11) == 0) continue;
    return std::string(info.short_src) + ":" + std::to_string(info.currentline) + ": ";
  }
  return "";
}

int CallGuarded(lua_State* L, Function function) {
  const RunningScope running(L);
  int code = 1;
  bool positioned = false;  // the message already names a place in the user's code
  {
    std::string message;
    try {
      if (RunningScope::Nested() > kMostNested) {
        throw UsageError("calls are nested more than " + std::to_string(kMostNested) +
                         " deep through native code; does a forward or another function call itself? " + CallChain(L));
      }
      return function(L);
    } catch (const StatusError& error) {
      message = error.what();
      code = static_cast<int>(ExitCodeOf(error.status()));
      positioned = error.status().GetPayload(kTracebackPayload).has_value();
    } catch (const memory::OutOfMemory& error) {
      message = error.what();
      code = static_cast<int>(ExitCode::kLimit);
    } catch (const c10::Error& error) {
      message = WantsFullErrors() ? error.what() : WithoutBacktrace(error.what_without_backtrace());
    } catch (const std::exception& error) {
      message = WithoutBacktrace(error.what());
    }
    PushError(L, message, code, positioned);
  }
  return lua_error(L);
}

absl::Status CallLua(lua_State* L, int arguments, int results) {
  const int function = lua_gettop(L) - arguments;
  lua_pushcfunction(L, &AddTraceback);
  lua_insert(L, function);
  const int failed = lua_pcall(L, arguments, results, function);
  if (failed == 0) {
    lua_remove(L, function);
    return absl::OkStatus();
  }
  std::string message = "an error without a message", traceback;
  int code = 1;
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    message = ToText(L, lua_gettop(L));
    if (lua_istable(L, -1)) {
      lua_getfield(L, -1, "code");
      if (lua_isnumber(L, -1)) code = static_cast<int>(lua_tointeger(L, -1));
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 2);
    if (const char* text = lua_tostring(L, -1)) traceback = text;
  } else if (lua_isstring(L, -1)) {
    message = lua_tostring(L, -1);  // without memory, or with an error in the handler, Lua tells so itself
  }
  lua_settop(L, function - 1);
  absl::Status status = Error(static_cast<ExitCode>(code), message);
  status.SetPayload(kTracebackPayload, absl::Cord(traceback));
  return status;
}

}  // namespace lanthorn::lua
