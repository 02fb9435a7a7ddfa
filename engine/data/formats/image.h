// Pictures from files: PNG, JPEG, BMP, GIF (the first frame), TGA and PNM.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "engine/base/status.h"

namespace lanthorn::data {

// uint8 (channels, height, width) with 1 (grey) or 3 (RGB) channels; 0 takes what the file has, without transparency.
// DataError for a file that is not a picture.
absl::StatusOr<at::Tensor> ReadImage(const std::string& path, int64_t channels);

}  // namespace lanthorn::data
