#include "bindings/ops/generator.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <cmath>

#include "bindings/lua/function.h"

namespace lanthorn::lua {
namespace {

uint64_t CheckSeed(lua_State* L, int index, const char* what) {
  const double seed = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : -1;
  if (seed < 0 || std::floor(seed) != seed || seed > 9007199254740992.0) {
    throw UsageError(std::string(what) + ": the seed must be an integer from 0 to 2^53, got " + Describe(L, index));
  }
  return static_cast<uint64_t>(seed);
}

int NewGenerator(lua_State* L) {
  auto generator = std::make_shared<Generator>();
  generator->generator = at::detail::createCPUGenerator();
  if (!lua_isnoneornil(L, 1)) generator->generator.set_current_seed(CheckSeed(L, 1, "torch.Generator"));
  PushObject(L, generator);
  return 1;
}

int GeneratorManualSeed(lua_State* L) {
  auto generator = CheckObject<Generator>(L, 1, "manual_seed");
  generator->generator.set_current_seed(CheckSeed(L, 2, "Generator:manual_seed"));
  lua_settop(L, 1);
  return 1;
}

int ManualSeed(lua_State* L) {
  at::manual_seed(CheckSeed(L, 1, "torch.manual_seed"));
  return 0;
}

const std::vector<FunctionRow> kFunctions = {
    {"Generator", "(int? seed=None) -> Generator",
     "A stream of random numbers of its own, for the keyword `generator` of random operators.", &Thunk<&NewGenerator>,
     "torch.randn{2, generator=torch.Generator(5)}"},
    {"manual_seed", "(int seed) -> ()", "Seeds the default stream; train.seed of a config does it.",
     &Thunk<&ManualSeed>, "torch.manual_seed(1)"},
};
const std::vector<FunctionRow> kMethods = {{"Generator:manual_seed", "(int seed) -> Generator",
                                            "Starts the stream again from a seed.", &Thunk<&GeneratorManualSeed>}};

}  // namespace

void OpenGenerator(lua_State* L) {
  RegisterRows(L, "torch", kFunctions);
  DefineType<Generator>(L);
  RegisterRows(L, "torch", kMethods);
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua
