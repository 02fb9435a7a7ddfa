// Weights as safetensors files: safetensors_header.h holds the byte layout and its rules.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct SafetensorsFile {
  NamedTensors tensors;  // sorted by name; CPU, contiguous, without gradient; tied names share one tensor
  std::map<std::string, std::string> metadata;  // without the alias entries
};

// Reads the whole file; each tensor owns its memory, and values are not checked (NaN is legal). A file that breaks one
// of the rules R1 to R15, or cannot be read, is a WeightsError "'<path>': <rule in words>", before any allocation
// beyond the header. LibTorch throws when memory runs out.
absl::StatusOr<SafetensorsFile> ReadSafetensors(const std::string& path);

// Replaces `path` atomically (.tmp, fsync, rename). Tensors may live on any device and have any strides. Those with
// the same storage, offset, shape and strides are stored once, under the first of their names; the other names become
// metadata "alias:<name>" -> "<stored name>". WeightsError for a name used twice, empty or reserved ("__metadata__"; in
// metadata the prefix "alias:"), text that is not UTF-8, an undefined or sparse tensor, a dtype the format lacks;
// MachineError when the disk refuses.
absl::Status WriteSafetensors(const std::string& path, const NamedTensors& tensors,
                              const std::map<std::string, std::string>& metadata = {});

}  // namespace lanthorn
