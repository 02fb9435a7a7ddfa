// Devices by name. A device that is asked for and absent is an error, never a fallback (guard G01).
#pragma once

#include <c10/core/Device.h>

#include <string>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn::device {

// "cpu", "cuda", "cuda:1"; "auto" takes the first CUDA device where there is one, else the CPU. An unknown name is a
// configuration error, an absent device a machine error (exit 9).
absl::StatusOr<c10::Device> Resolve(const std::string& name);

// Names of the devices that are here: {"cpu", "cuda:0", ...}.
std::vector<std::string> Available();

}  // namespace lanthorn::device
