// The reader of metrics.jsonl: it accepts or refuses, and what it accepts are objects.
#include <cstdlib>

#include "engine/run/metrics/metrics_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto metrics = lanthorn::ParseMetrics("fuzz", std::string(reinterpret_cast<const char*>(data), size));
  if (!metrics.ok()) return 0;
  for (const nlohmann::json& line : metrics->lines) {
    if (!line.is_object()) std::abort();
  }
  return 0;
}
