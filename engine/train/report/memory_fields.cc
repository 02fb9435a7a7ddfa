#include "engine/train/report/memory_fields.h"

namespace lanthorn::train {

void AddMemory(const MemoryProbe& probe, nlohmann::json* line) {
  const auto add = [line](const char* name, const std::function<int64_t()>& read) {
    const int64_t bytes = read ? read() : 0;
    (*line)[name] = bytes > 0 ? nlohmann::json(static_cast<double>(bytes) / 1e6) : nlohmann::json(nullptr);
  };
  add("rss_mb", probe.resident);
  add("rss_peak_mb", probe.resident_peak);
  add("tensor_mb", probe.tensors);
  add("lua_mb", probe.lua);
}

}  // namespace lanthorn::train
