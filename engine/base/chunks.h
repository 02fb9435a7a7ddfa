// Work over many arrays at once: each is cut into chunks of a fixed size, and threads take chunks. The cut depends on
// the sizes alone, so what is computed per chunk does not depend on the number of threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace lanthorn {

class Chunks {
 public:
  static constexpr int64_t kElements = 16384;

  // Arrays of these many elements; an empty array has no chunk.
  explicit Chunks(const std::vector<int64_t>& sizes) : sizes_(sizes), first_(sizes.size() + 1, 0) {
    for (size_t i = 0; i < sizes_.size(); ++i) first_[i + 1] = first_[i] + (sizes_[i] + kElements - 1) / kElements;
  }
  int64_t count() const { return first_.back(); }
  // The chunks of array i are those from first(i) up to first(i + 1).
  int64_t first(size_t i) const { return first_[i]; }

  // Calls body(array, begin, end, chunk) for each chunk, from several threads when there are more than a few.
  template <typename Body>
  void ForEach(const Body& body) const {
    constexpr int64_t kGrain = 2;
    at::parallel_for(0, count(), kGrain, [&](int64_t from, int64_t to) {
      size_t array = static_cast<size_t>(std::upper_bound(first_.begin(), first_.end(), from) - first_.begin()) - 1;
      for (int64_t chunk = from; chunk < to; ++chunk) {
        while (chunk >= first_[array + 1]) ++array;
        const int64_t begin = (chunk - first_[array]) * kElements;
        body(array, begin, std::min(begin + kElements, sizes_[array]), chunk);
      }
    });
  }

 private:
  std::vector<int64_t> sizes_, first_;
};

}  // namespace lanthorn
