// The header of a safetensors file: parsed strictly, so that a damaged file is refused before any tensor is allocated.
//
// File = u64 little-endian N, N bytes of UTF-8 JSON, data. The JSON maps each tensor's name to
//   {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}   offsets in bytes from the start of the data
// and "__metadata__", where present, to an object of strings.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn {

struct SafetensorsEntry {
  std::string name;
  c10::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t begin;  // bytes from the start of the data
  uint64_t end;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their data
  std::map<std::string, std::string> metadata;
};

// The largest header accepted, in bytes (rule R2).
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// Checks rules R4 to R15 on the header's text; `data_bytes` is what the file holds after it. Errors are WeightsError
// "'<path>': <rule in words>", the lowest broken rule first. A dtype that the format knows and LibTorch lacks is
// "unsupported", any other "unknown".
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(const std::string& path, const std::string& text,
                                                         uint64_t data_bytes);

// The format's name of a dtype such as "F32"; empty where it has none.
std::string SafetensorsDtypeName(c10::ScalarType dtype);

// True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(const std::string& text);

}  // namespace lanthorn
