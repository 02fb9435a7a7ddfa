// Token ids in the smallest integer type that holds them, a view of memory that is mapped from a file or owned.
//
// What is stored are numbers of a text's own, in the order in which its tokens appear; a table gives the ids that they
// stand for, so that one stored text serves every vocabulary.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn::data {

class TokenIds {
 public:
  using Table = std::shared_ptr<const std::vector<int64_t>>;

  TokenIds() = default;
  // `memory` holds `count` numbers of `width` (1, 2 or 4) bytes each and stays as it is.
  TokenIds(std::shared_ptr<const void> memory, int width, int64_t count)
      : memory_(std::move(memory)), width_(width), count_(count) {}
  // A copy of int64 ids (L) from 0 to 2^32 - 1; c10::Error for others.
  static TokenIds FromTensor(const at::Tensor& ids);

  int64_t size() const { return count_; }
  int width() const { return width_; }
  int64_t bytes() const { return count_ * width_; }
  // `count` ids from `first` on, of the same memory.
  TokenIds Slice(int64_t first, int64_t count) const;
  // The same with ids of a table over the stored numbers; an absent table leaves them as they are.
  TokenIds Under(Table table) const;

  // Writes `count` ids from `first` on.
  void Copy(int64_t first, int64_t count, int64_t* to) const;
  // All ids, int64 (L): 8 bytes for each.
  at::Tensor ToTensor() const;

  // Calls body(const T* numbers) with the stored numbers, T being uint8_t, uint16_t or uint32_t.
  template <typename Body>
  void WithNumbers(const Body& body) const {
    const char* const from = static_cast<const char*>(memory_.get()) + first_ * width_;
    if (width_ == 1) body(reinterpret_cast<const uint8_t*>(from));
    if (width_ == 2) body(reinterpret_cast<const uint16_t*>(from));
    if (width_ == 4) body(reinterpret_cast<const uint32_t*>(from));
  }

  // How often each stored number below `numbers` occurs.
  std::vector<int64_t> Counts(int64_t numbers) const;

 private:
  std::shared_ptr<const void> memory_;
  Table table_;
  int width_ = 1;
  int64_t first_ = 0, count_ = 0;
};

}  // namespace lanthorn::data
