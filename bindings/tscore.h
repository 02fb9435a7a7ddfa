// The table `tscore`.
#pragma once

#include "bindings/lua/value.h"
#include "engine/tscore/score.h"

namespace lanthorn::lua {

// {t=, t_corrected=, raw=, s=, q=, n=, status=, method=, sample_sq=, noise={scale=, trace=, signal=, status=}, groups=
// {{name=, t=, t_corrected=, s=, q=, status=}, ...}}; what is undefined is absent, groups when there are none.
LANTHORN_LUA_RECORD(tscore::Score);
LANTHORN_LUA_RECORD(tscore::Noise);
LANTHORN_LUA_RECORD(tscore::GroupScore);

// Adds `tscore` to the module table on the top of the stack. [-0, +0, m]
void OpenTScore(lua_State* L);

}  // namespace lanthorn::lua
