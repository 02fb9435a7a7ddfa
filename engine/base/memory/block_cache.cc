#include "engine/base/memory/block_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>

namespace lanthorn::memory {
namespace {

constexpr size_t kPage = 4096, kHugePage = size_t{2} << 20;

// Anonymous memory that begins on a huge page if it is large enough for one.
void* Map(size_t bytes) {
  const size_t slack = bytes >= kHugePage ? kHugePage : 0;
  void* mapped = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (slack == 0) return mapped;
  char* const begin = static_cast<char*>(mapped);
  const size_t skip = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (skip > 0) munmap(begin, skip);
  if (slack > skip) munmap(begin + skip + bytes, slack - skip);
  madvise(begin + skip, bytes, MADV_HUGEPAGE);  // only a wish: without huge pages it is slower, not wrong
  return begin + skip;
}

}  // namespace

void* BlockCache::Take(size_t bytes, size_t* capacity) {
  // Sizes come in steps of a sixteenth to an eighth, so that a tensor that is a little larger at each step finds its
  // block.
  const size_t unit = std::max(kPage, std::bit_floor(bytes) / 16);
  const size_t wanted = (bytes + unit - 1) / unit * unit;
  const std::lock_guard<std::mutex> lock(mutex_);
  auto best = kept_.end();
  for (auto block = kept_.begin(); block != kept_.end(); ++block) {
    const bool fits = block->capacity >= wanted && block->capacity <= wanted + wanted / 4;
    if (fits && (best == kept_.end() || block->capacity < best->capacity)) best = block;
  }
  if (best != kept_.end()) {
    void* begin = best->begin;
    *capacity = best->capacity;
    kept_bytes_ -= static_cast<int64_t>(best->capacity);
    kept_.erase(best);
    return begin;
  }
  *capacity = wanted;
  ++fresh_;
  return Map(wanted);
}

void BlockCache::Give(void* block, size_t capacity, size_t keep) {
  const std::lock_guard<std::mutex> lock(mutex_);
  kept_.push_back({block, capacity});
  kept_bytes_ += static_cast<int64_t>(capacity);
  Trim(static_cast<int64_t>(keep));
}

void BlockCache::Release() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Trim(0);
}

void BlockCache::Trim(int64_t keep) {
  auto end = kept_.begin();
  for (; end != kept_.end() && kept_bytes_ > keep; ++end) {
    munmap(end->begin, end->capacity);
    kept_bytes_ -= static_cast<int64_t>(end->capacity);
  }
  kept_.erase(kept_.begin(), end);
}

int64_t BlockCache::kept_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return kept_bytes_;
}

int64_t BlockCache::fresh_blocks() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return fresh_;
}

}  // namespace lanthorn::memory
