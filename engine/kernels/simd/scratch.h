// Working memory of a kernel's sweep: vector-aligned floats.
#pragma once

#include <hwy/aligned_allocator.h>

#include <algorithm>
#include <cstring>

#include "engine/base/memory/memory.h"

namespace lanthorn::kernels {

using Scratch = hwy::AlignedFreeUniquePtr<float[]>;

// For a sweep that writes before it reads.
inline Scratch Uninitialized(int64_t size) {
  const size_t count = static_cast<size_t>(std::max<int64_t>(size, 1));  // Highway does not allocate nothing
  Scratch scratch = hwy::AllocateAligned<float>(count);
  if (scratch == nullptr) {
    throw memory::OutOfMemory("out of memory: no " + memory::FormatBytes(sizeof(float) * static_cast<double>(count)) +
                              " of working memory for a kernel");
  }
  return scratch;
}

inline Scratch Zeros(int64_t size) {
  Scratch scratch = Uninitialized(size);
  std::memset(scratch.get(), 0, sizeof(float) * static_cast<size_t>(std::max<int64_t>(size, 1)));
  return scratch;
}

}  // namespace lanthorn::kernels
