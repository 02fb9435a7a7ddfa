// The only place where LibTorch versions differ (1.13 is the reference, 2.x must compile).
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/DeviceType.h>

#include <string>
#include <vector>

#if __has_include(<torch/csrc/api/include/torch/version.h>)
#include <torch/csrc/api/include/torch/version.h>
#elif __has_include(<torch/version.h>)
#include <torch/version.h>
#endif

#if defined(TORCH_VERSION_MAJOR) && TORCH_VERSION_MAJOR >= 2
#include <optional>
#else
#include <c10/util/Optional.h>
#endif

namespace lanthorn::compat {

#if defined(TORCH_VERSION_MAJOR) && TORCH_VERSION_MAJOR >= 2
template <typename T>
using Optional = std::optional<T>;
inline constexpr std::nullopt_t kNullopt = std::nullopt;
#else
template <typename T>
using Optional = c10::optional<T>;
inline constexpr c10::nullopt_t kNullopt = c10::nullopt;
#endif

}  // namespace lanthorn::compat
