// Shares work out over LibTorch's threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <functional>

namespace lanthorn::kernels {

// Splits [0, size) into one part per thread. at::parallel_for alone would cut finer than that for nothing: a sweep
// streams its packed weights once per part.
inline void ForThreads(int64_t size, const std::function<void(int64_t begin, int64_t end)>& body) {
  const int64_t threads = std::max<int64_t>(1, at::get_num_threads());
  at::parallel_for(0, size, (size + threads - 1) / threads, body);
}

}  // namespace lanthorn::kernels
