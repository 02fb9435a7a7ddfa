// The memory of this process in megabytes of 10^6 bytes, for metrics lines (guard G03): from sources that count
// this process alone.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "engine/base/memory/memory.h"

namespace lanthorn::train {

// Where the numbers come from, in bytes. What is not positive is unknown: a process that trains uses memory.
struct MemoryProbe {
  std::function<int64_t()> resident = &memory::ResidentBytes, resident_peak = &memory::ResidentPeakBytes,
                           tensors = &memory::TensorBytes;
  std::function<int64_t()> lua = nullptr;  // heap of the scripts; without it unknown
};

// Adds rss_mb, rss_peak_mb, tensor_mb and lua_mb; null for what is unknown, never 0.
void AddMemory(const MemoryProbe& probe, nlohmann::json* line);

}  // namespace lanthorn::train
