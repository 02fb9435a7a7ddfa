// The table `tscore`.
#pragma once

#include "bindings/lua/lua.h"
#include "engine/tscore/score.h"

namespace lanthorn::lua {

// {t=, t_corrected=, raw=, s=, q=, n=, status=, method=, sample_sq=}; an undefined t is absent. [-0, +1, m]
void PushScore(lua_State* L, const tscore::Score& score);

// Adds `tscore` to the module table on the top of the stack. [-0, +0, m]
void OpenTScore(lua_State* L);

}  // namespace lanthorn::lua
