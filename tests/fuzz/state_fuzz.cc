// The reader of a training's state in a checkpoint: it accepts or refuses, and what it accepts it writes back the same.
#include <cstdlib>

#include "engine/train/state/fit_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using lanthorn::train::FitStateFromJson;
  const nlohmann::json json = nlohmann::json::parse(data, data + size, nullptr, /*allow_exceptions=*/false);
  const auto state = FitStateFromJson(json);
  if (!state.ok()) return 0;
  const nlohmann::json written = ToJson(*state);
  const auto again = FitStateFromJson(written);
  if (!again.ok() || ToJson(*again) != written) std::abort();
  return 0;
}
