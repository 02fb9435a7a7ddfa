// Sobol's sequence with the direction numbers of Joe and Kuo (2008), by Boost.Random.
#include <boost/random/sobol.hpp>
#include <cstdint>

#include "bindings/runner/host.h"

namespace lanthorn::runner {
namespace {

constexpr int kMostDimensions = 1000;
constexpr int kMostPoints = 1 << 20;

// sobol(dimensions, index): the point of that index from 0, the origin, as a list of numbers from 0 to below 1.
int Sobol(lua_State* L) {
  const int dimensions = static_cast<int>(luaL_checkinteger(L, 1)), index = static_cast<int>(luaL_checkinteger(L, 2));
  luaL_argcheck(L, dimensions >= 1 && dimensions <= kMostDimensions, 1, "from 1 to 1000 dimensions");
  luaL_argcheck(L, index >= 0 && index < kMostPoints, 2, "an index from 0 to below 2^20");
  lua_createtable(L, dimensions, 0);
  boost::random::sobol_engine<uint32_t, 32> engine(dimensions);
  if (index > 0) engine.seed(index - 1);  // Boost begins with the point after the origin
  for (int i = 0; i < dimensions; ++i) {
    lua_pushnumber(L, index == 0 ? 0.0 : static_cast<double>(engine()) / 4294967296.0);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"sobol", Sobol}, {nullptr, nullptr}};

}  // namespace

void RegisterSobol(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
