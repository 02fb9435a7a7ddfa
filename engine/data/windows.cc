#include "engine/data/windows.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <numeric>

#include "engine/base/random_stream.h"

namespace lanthorn::data {

int64_t CountWindows(int64_t length, const WindowOptions& o) {
  if (o.order == WindowOrder::kStreams) return std::max<int64_t>(0, length / (o.batch * o.seq) - 1) * o.batch;
  return length <= o.seq ? 0 : (length - o.seq - 1) / o.stride + 1;
}

WindowBatches::WindowBatches(TokenIds ids, WindowOptions options)
    : ids_(std::move(ids)), options_(options), windows_(CountWindows(ids_.size(), options)) {
  const int64_t whole = windows_ / options_.batch, all = (windows_ + options_.batch - 1) / options_.batch;
  if (options_.order == WindowOrder::kFixed) {
    count_ = all;
  } else if (options_.order == WindowOrder::kEpoch || options_.order == WindowOrder::kStreams) {
    count_ = options_.drop_last ? whole : all;
    if (options_.batches > 0) count_ = std::min(options_.batches, count_);
  } else {
    count_ = windows_ == 0 ? 0 : options_.batches > 0 ? options_.batches : std::max<int64_t>(1, whole);
  }
  SetEpoch(0);
}

void WindowBatches::SetEpoch(int64_t epoch) {
  if (options_.order != WindowOrder::kEpoch || (epoch == epoch_ && !order_.empty())) {
    epoch_ = epoch;
    return;
  }
  epoch_ = epoch;
  TORCH_CHECK(windows_ < int64_t{1} << 32, "[windows] 2^32 windows or more have no order of an epoch's own");
  order_.resize(static_cast<size_t>(windows_));
  std::iota(order_.begin(), order_.end(), uint32_t{0});
  std::mt19937_64 generator =
      RandomStream({static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(epoch), ~uint64_t{0}});
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[generator() % i]);
}

int64_t WindowBatches::StartOf(int64_t window) const {
  if (options_.order != WindowOrder::kStreams) return window * options_.stride;
  const int64_t width =
      windows_ + options_.batch;  // windows of all streams, with the last of each, which has no target
  const int64_t stream = window % options_.batch, column = window / options_.batch;
  return (stream * (width / options_.batch) + column) * options_.seq;
}

Batch WindowBatches::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count_, "[batches] batch ", index, " of ", count_);
  const int64_t first = index * options_.batch, S = options_.seq;
  const int64_t rows =
      options_.order == WindowOrder::kRandom ? options_.batch : std::min(options_.batch, windows_ - first);
  std::mt19937_64 generator =
      RandomStream({static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(epoch_), static_cast<uint64_t>(index)});
  const at::TensorOptions type(c10::kLong);
  Batch batch = {at::empty({rows, S}, type), at::empty({rows, S}, type), options_.domain};
  for (int64_t row = 0; row < rows; ++row) {
    int64_t window = first + row;
    if (options_.order == WindowOrder::kEpoch) window = order_[static_cast<size_t>(window)];
    if (options_.order == WindowOrder::kRandom) {
      window = static_cast<int64_t>(generator() % static_cast<uint64_t>(windows_));
    }
    ids_.Copy(StartOf(window), S, batch.x.data_ptr<int64_t>() + row * S);
    ids_.Copy(StartOf(window) + 1, S, batch.y.data_ptr<int64_t>() + row * S);
  }
  return batch;
}

}  // namespace lanthorn::data
