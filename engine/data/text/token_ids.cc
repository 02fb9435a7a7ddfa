#include "engine/data/text/token_ids.h"

#include <ATen/Functions.h>

#include <cstdlib>

namespace lanthorn::data {

TokenIds TokenIds::FromTensor(const at::Tensor& ids) {
  TORCH_CHECK(ids.dim() == 1 && ids.scalar_type() == c10::kLong, "[token_ids] ids must be int64 (L), got ",
              ids.scalar_type(), " ", ids.sizes());
  const at::Tensor from = ids.to(c10::kCPU).contiguous();
  const int64_t count = from.numel(), largest = count == 0 ? 0 : from.max().item<int64_t>();
  TORCH_CHECK(count == 0 || (from.min().item<int64_t>() >= 0 && largest < (int64_t{1} << 32)),
              "[token_ids] ids must be from 0 to 2^32 - 1");
  const int width = largest < 1 << 8 ? 1 : largest < 1 << 16 ? 2 : 4;
  const std::shared_ptr<void> memory(std::malloc(static_cast<size_t>(std::max<int64_t>(count, 1) * width)), &std::free);
  TORCH_CHECK(memory != nullptr, "[token_ids] no memory for ", count, " ids");
  TokenIds made(memory, width, count);
  made.WithNumbers([&](const auto* numbers) {
    using Number = std::decay_t<decltype(*numbers)>;
    Number* to = static_cast<Number*>(memory.get());
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<Number>(from.data_ptr<int64_t>()[i]);
  });
  return made;
}

TokenIds TokenIds::Slice(int64_t first, int64_t count) const {
  TORCH_CHECK(first >= 0 && count >= 0 && first + count <= count_, "[token_ids] ", first, " + ", count, " of ", count_);
  TokenIds made = *this;
  made.first_ += first;
  made.count_ = count;
  return made;
}

TokenIds TokenIds::Under(Table table) const {
  TokenIds made = *this;
  made.table_ = std::move(table);
  return made;
}

void TokenIds::Copy(int64_t first, int64_t count, int64_t* to) const {
  TORCH_CHECK(first >= 0 && count >= 0 && first + count <= count_, "[token_ids] ", first, " + ", count, " of ", count_);
  const int64_t* const table = table_ == nullptr ? nullptr : table_->data();
  WithNumbers([&](const auto* numbers) {
    for (int64_t i = 0; i < count; ++i) {
      to[i] = table == nullptr ? static_cast<int64_t>(numbers[first + i]) : table[numbers[first + i]];
    }
  });
}

at::Tensor TokenIds::ToTensor() const {
  at::Tensor made = at::empty({count_}, at::TensorOptions(c10::kLong));
  Copy(0, count_, made.data_ptr<int64_t>());
  return made;
}

std::vector<int64_t> TokenIds::Counts(int64_t numbers) const {
  std::vector<int64_t> counts(static_cast<size_t>(numbers));
  WithNumbers([&](const auto* from) {
    for (int64_t i = 0; i < count_; ++i) ++counts[from[i]];
  });
  return counts;
}

}  // namespace lanthorn::data
