// Arrays in the IDX format of the MNIST files, plain or compressed by gzip.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "engine/base/status.h"

namespace lanthorn::data {

// The array of a file: uint8, int8, int16, int32, float32 or float64 as stored. DataError for a file that is not IDX or
// does not have as many numbers as it says.
absl::StatusOr<at::Tensor> ReadIdx(const std::string& path);

}  // namespace lanthorn::data
