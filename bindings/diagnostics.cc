// Probes of the engine for `runner doctor` and `runner bench`, and the self-test of the boundary between C++ and Lua
// errors.
#include "bindings/diagnostics.h"

#include "bindings/lua/function.h"
#include "bindings/lua/json.h"
#include "bindings/ops/function_call.h"
#include "engine/base/memory.h"
#include "engine/device/libraries.h"
#include "engine/device/op_cost.h"
#include "engine/device/probe.h"
#include "engine/kernels/precision.h"
#include "engine/run/machine.h"

namespace lanthorn::lua {
namespace {

int Machine(lua_State* L) {
  PushJson(L, MachineFingerprint());
  return 1;
}

int Libraries(lua_State* L) {
  const device::Libraries found = device::LoadedLibraries();
  PushJson(L, {{"blas", found.blas},
               {"op_costs", "(int calls) -> table", "Seconds of small operators called from C++ so many times, by name.",
     &Thunk<&OpCosts>, "require('lanthorn').diagnostics.op_costs(10).add"},
    {"allocations", "() -> table",
     "Tensor allocations of the process so far: {count=, large= (of at least large_bytes), large_bytes=, "
     "resident_bytes=}.",
     &Thunk<&Allocations>, "require('lanthorn').diagnostics.allocations().count"},
    {"exceptions", "() -> table[]",
     "Self-test: C++ exceptions and Lua errors pass each other's frames; a list of {name=, ok=, got=}.",
     &Thunk<&Exceptions>, "require('lanthorn').diagnostics.exceptions()[1].ok"},
};

}  // namespace

void OpenDiagnostics(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "diagnostics", kRows);
  lua_setfield(L, -2, "diagnostics");
}

}  // namespace lanthorn::lua
