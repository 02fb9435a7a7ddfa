#include "engine/data/tensors.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "engine/data/batch_shape.h"
#include "engine/data/epoch_order.h"

namespace lanthorn::data {

absl::StatusOr<std::shared_ptr<TensorBatches>> TensorBatches::Make(at::Tensor x, at::Tensor y,
                                                                   const TensorOptions& given) {
  TensorOptions options = given;
  if (x.dim() < 1 || y.dim() < 1 || x.size(0) != y.size(0)) {
    return DataError(absl::StrFormat("data.tensors: x and y need the same number of rows, got %d and %d",
                                     x.dim() < 1 ? 0 : x.size(0), y.dim() < 1 ? 0 : y.size(0)));
  }
  if (options.batch < 0)
    return ConfigError(absl::StrFormat("data.tensors: batch must be 0 (all rows) or more, got %d", options.batch));
  if (options.batch == 0) options.batch = x.size(0);
  if (x.size(0) == 0 || x.size(0) < options.batch)
    return DataError(absl::StrFormat("data.tensors: %d rows are fewer than one batch of %d", x.size(0), options.batch));
  return std::shared_ptr<TensorBatches>(new TensorBatches(std::move(x), std::move(y), options));
}

TensorBatches::TensorBatches(at::Tensor x, at::Tensor y, TensorOptions options)
    : x_(std::move(x)), y_(std::move(y)), options_(options) {
  SetEpoch(0);
  // Which rows are left out of a shuffled epoch differs, the number of their masked targets too: then this is the mean.
  const at::Tensor used = options_.shuffle ? y_ : y_.narrow(0, 0, samples());
  int64_t masked = 0;
  if (c10::isIntegralType(y_.scalar_type(), /*includeBool=*/false))
    masked = used.eq(kMaskedTarget).sum().item<int64_t>();
  epoch_targets_ = (used.numel() - masked) * samples() / used.size(0);
}

void TensorBatches::SetEpoch(int64_t epoch) {
  if (!options_.shuffle) return;
  const std::vector<uint32_t> order = EpochOrder(x_.size(0), options_.seed, epoch);
  order_ = at::empty({x_.size(0)}, at::TensorOptions(c10::kLong));
  std::copy(order.begin(), order.end(), order_.data_ptr<int64_t>());
  order_ = order_.to(x_.device());
}

Batch TensorBatches::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count(), "[batches] batch ", index, " of ", count());
  const int64_t first = index * options_.batch, rows = std::min(options_.batch, samples() - first);
  if (!options_.shuffle) return {x_.narrow(0, first, rows), y_.narrow(0, first, rows)};
  const at::Tensor chosen = order_.narrow(0, first, rows);
  return {x_.index_select(0, chosen), y_.index_select(0, chosen)};
}

}  // namespace lanthorn::data
