// Arrays that NumPy wrote: .npy files (formats 1 to 3) and .npz archives of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn::data {

// The array of a file, with its type where LibTorch has it; uint16 and uint32 become int64. DataError for a file
// that is not an array or is cut short, for objects, text and structures, and for unsigned numbers that do not fit
// int64.
absl::StatusOr<at::Tensor> ReadNpy(const std::string& path);

// The arrays of an archive by name, without ".npy", sorted.
absl::StatusOr<std::vector<std::pair<std::string, at::Tensor>>> ReadNpz(const std::string& path);

}  // namespace lanthorn::data
