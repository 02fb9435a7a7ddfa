// Large blocks of memory, kept for the next taker of the same size.
//
// A training step frees and takes the same large tensors again and again. Kept blocks cost no system call and no page
// fault, and they lie on huge pages where the system offers them: one step touches tens of megabytes in strides, which
// with small pages costs as much in address translation as in arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace lanthorn::memory {

class BlockCache {
 public:
  // Blocks from this size on are worth keeping.
  static constexpr size_t kLeast = size_t{1} << 20;

  ~BlockCache() { Release(); }

  // A block of at least `bytes` and where it ends in `capacity`, page-aligned; nullptr when the system has none left.
  // A kept block that is at most a quarter larger is taken before the system is asked.
  void* Take(size_t bytes, size_t* capacity);
  // Keeps a block for later. While more than `keep` bytes are kept, the blocks that have waited longest go back to the
  // system.
  void Give(void* block, size_t capacity, size_t keep);
  // Gives all kept blocks back.
  void Release();

  int64_t kept_bytes() const;
  // How many blocks the system was asked for: in a steady training step this does not grow.
  int64_t fresh_blocks() const;

 private:
  struct Block {
    void* begin;
    size_t capacity;
  };
  void Trim(int64_t keep);

  mutable std::mutex mutex_;
  std::vector<Block> kept_;  // in the order of giving; there are never many
  int64_t kept_bytes_ = 0, fresh_ = 0;
};

}  // namespace lanthorn::memory
