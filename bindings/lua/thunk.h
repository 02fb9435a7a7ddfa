// The one boundary between C++ errors and Lua errors.
//
// Every function that Lua can call is wrapped as Thunk<Function>. C++ exceptions become Lua errors there, after every
// C++ object is gone; Lua errors pass through untouched (LuaJIT unwinds them as foreign exceptions, so destructors run;
// `catch (...)` would swallow them and is forbidden around Lua calls). Only std::exception and its children are caught.
#pragma once

#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bindings/lua/lua.h"

namespace lanthorn::lua {

using Function = int (*)(lua_State*);

// A Status on its way to Lua.
class StatusError : public std::exception {
 public:
  explicit StatusError(absl::Status status);
  const char* what() const noexcept override { return message_.c_str(); }
  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
  std::string message_;
};

// A wrong use of the API: exit code 1, message without a type name in front.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void Check(const absl::Status& status) {
  if (!status.ok()) throw StatusError(status);
}
template <typename T>
T Value(absl::StatusOr<T> result) {
  Check(result.status());
  return *std::move(result);
}

// Calls `function` and turns what it throws into a Lua error. [-0, +n, e]
int CallGuarded(lua_State* L, Function function);

template <Function function>
int Thunk(lua_State* L) {
  return CallGuarded(L, function);
}

// "file:line: " of the innermost frame of user code (frames of the embedded library are skipped), or "". [-0, +0, -]
std::string UserPosition(lua_State* L);

// Whether RUNNER_FULL_ERROR asks for native stacks behind messages.
bool WantsFullErrors();

// Calls the function below its `arguments` on the stack; a Lua error becomes a Status with traceback. [-(n+1),
// +results|0, -]
absl::Status CallLua(lua_State* L, int arguments, int results);

}  // namespace lanthorn::lua
