// The parser of safetensors headers: whatever the bytes are, it accepts or refuses. What it accepts tiles the data.
#include <cstdlib>

#include "engine/base/files/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  // The first two bytes say how much data the file would hold behind the header.
  const uint64_t behind = static_cast<uint64_t>(data[0]) * 256 + data[1];
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto header = lanthorn::ParseSafetensorsHeader("fuzz", text, behind);
  if (!header.ok()) return 0;
  uint64_t end = 0;
  for (const lanthorn::SafetensorsEntry& entry : header->entries) {
    if (entry.begin != end || entry.end < entry.begin) std::abort();
    end = entry.end;
  }
  if (!header->entries.empty() && end != behind) std::abort();
  return 0;
}
