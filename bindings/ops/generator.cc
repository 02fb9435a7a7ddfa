#include "bindings/ops/generator.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include "absl/strings/str_cat.h"
#include "bindings/lua/typed.h"

namespace lanthorn::lua {
namespace {

uint64_t CheckSeed(int64_t seed) {
  if (seed < 0) throw UsageError(absl::StrCat("the seed must be an integer from 0 to 2^53, got ", seed));
  return static_cast<uint64_t>(seed);
}

std::shared_ptr<Generator> NewGenerator(std::optional<int64_t> seed) {
  auto generator = std::make_shared<Generator>();
  generator->generator = at::detail::createCPUGenerator();
  if (seed) generator->generator.set_current_seed(CheckSeed(*seed));
  return generator;
}

std::shared_ptr<Generator> Restart(const std::shared_ptr<Generator>& self, int64_t seed) {
  self->generator.set_current_seed(CheckSeed(seed));
  return self;
}

void ManualSeed(int64_t seed) { at::manual_seed(CheckSeed(seed)); }

const std::vector<FunctionRow> kFunctions = {
    {"Generator", "seed", "A stream of random numbers of its own, for the keyword `generator` of random operators.",
     Typed<&NewGenerator>, "torch.randn{2, generator=torch.Generator(5)}"},
    {"manual_seed", "seed", "Seeds the default stream; train.seed of a config does it.", Typed<&ManualSeed>,
     "torch.manual_seed(1)"},
};
const std::vector<FunctionRow> kMethods = {
    {"Generator:manual_seed", "seed", "Starts the stream again from a seed.", Typed<&Restart>}};

}  // namespace

void OpenGenerator(lua_State* L) {
  RegisterRows(L, "torch", kFunctions);
  DefineType<Generator>(L);
  RegisterRows(L, "torch", kMethods);
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua
