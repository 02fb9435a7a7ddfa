// A rolling polynomial hash modulo 2^64 walks over train, h' = (h - x_first B^(n-1)) B + x_next; a hit is compared
// token by token. Stretches of train are walked by all threads; which blocks are found does not depend on the order.
#include "engine/data/text/leak.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace lanthorn::data {
namespace {

constexpr int64_t kStretch = int64_t{1} << 16;  // positions that are worth a thread
constexpr uint64_t kBase = 0x9e3779b97f4a7c15u | 1;

uint64_t Append(uint64_t hash, uint64_t token) { return hash * kBase + token + 1; }

// Blocks of val by hash: equal ones are one entry.
template <typename Number>
struct Entry {
  const Number* tokens = nullptr;
  int64_t count = 0;
  size_t number = 0;  // of the entry
};

// Most positions of train have a hash that no block has. These bits say so from a few cache lines.
class Sieve {
 public:
  explicit Sieve(size_t entries) {
    while ((size_t{1} << bits_) < 32 * entries) ++bits_;
    words_.resize((size_t{1} << bits_) / 64);
  }
  void Add(uint64_t hash) { words_[Index(hash) / 64] |= uint64_t{1} << (Index(hash) % 64); }
  bool MayHave(uint64_t hash) const { return (words_[Index(hash) / 64] >> (Index(hash) % 64)) & 1; }

 private:
  uint64_t Index(uint64_t hash) const { return hash >> (64 - bits_); }
  int bits_ = 10;
  std::vector<uint64_t> words_;
};

template <typename Text, typename Other>
Leak Search(const Text* from, int64_t length, const Other* other, int64_t other_length, int64_t block,
            int64_t most_tokens, int64_t most_blocks) {
  Leak leak;
  leak.block = block;
  const int64_t all = other_length / block;
  leak.blocks = std::min(all, most_blocks);
  if (leak.blocks == 0 || length < block) return leak;

  absl::flat_hash_map<uint64_t, Entry<Other>> entries;
  Sieve sieve(static_cast<size_t>(leak.blocks));
  for (int64_t i = 0; i < leak.blocks; ++i) {
    const Other* tokens = other + i * all / leak.blocks * block;
    uint64_t hash = 0;
    for (int64_t k = 0; k < block; ++k) hash = Append(hash, tokens[k]);
    Entry<Other>& entry = entries.try_emplace(hash, Entry<Other>{.number = entries.size()}).first->second;
    entry.tokens = tokens;
    ++entry.count;
    sieve.Add(hash);
  }
  uint64_t first_factor = 1;  // B^(block - 1)
  for (int64_t k = 1; k < block; ++k) first_factor *= kBase;
  std::vector<std::atomic<bool>> found(entries.size());
  std::atomic<int64_t> shared{0};
  const auto search = [&](int64_t begin, int64_t end) {
    uint64_t hash = 0;
    for (int64_t k = begin; k < begin + block; ++k) hash = Append(hash, from[k]);
    for (int64_t at = begin;; ++at) {
      if (sieve.MayHave(hash)) {
        const auto it = entries.find(hash);
        if (it != entries.end() && !found[it->second.number].load(std::memory_order_relaxed) &&
            std::equal(from + at, from + at + block, it->second.tokens) && !found[it->second.number].exchange(true)) {
          shared += it->second.count;
        }
      }
      if (at + block >= end) return;
      hash = Append(hash - (static_cast<uint64_t>(from[at]) + 1) * first_factor, from[at + block]);
    }
  };
  const int64_t pieces = std::min<int64_t>(64, most_tokens / block), piece = most_tokens / pieces;
  if (length <= most_tokens) {
    const int64_t positions = length - block + 1;
    at::parallel_for(0, positions, kStretch, [&](int64_t begin, int64_t end) { search(begin, end + block - 1); });
  } else {
    at::parallel_for(0, pieces, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = (length - piece) / std::max<int64_t>(1, pieces - 1) * i;
        search(begin, begin + piece);
      }
    });
    leak.searched = static_cast<double>(pieces * piece) / static_cast<double>(length);
  }
  leak.shared = shared;
  leak.searched *= static_cast<double>(leak.blocks) / static_cast<double>(all);
  return leak;
}

}  // namespace

Leak SharedBlocks(const TokenIds& train, const TokenIds& val, int64_t block, int64_t most_tokens, int64_t most_blocks) {
  TORCH_CHECK(block > 0 && most_tokens >= block && most_blocks > 0, "[leak] sizes must be positive");
  Leak leak;
  train.WithNumbers([&](const auto* from) {
    val.WithNumbers([&](const auto* other) {
      leak = Search(from, train.size(), other, val.size(), block, most_tokens, most_blocks);
    });
  });
  return leak;
}

}  // namespace lanthorn::data
