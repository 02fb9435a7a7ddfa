#include "engine/data/tensors.h"

#include "absl/strings/str_format.h"

namespace lanthorn::data {

absl::StatusOr<std::shared_ptr<TensorBatches>> TensorBatches::Make(at::Tensor x, at::Tensor y, int64_t batch) {
  if (x.dim() < 1 || y.dim() < 1 || x.size(0) != y.size(0)) {
    return DataError(absl::StrFormat("data.tensors: x and y need the same number of rows, got %d and %d",
                                     x.dim() < 1 ? 0 : x.size(0), y.dim() < 1 ? 0 : y.size(0)));
  }
  if (batch < 0) return ConfigError(absl::StrFormat("data.tensors: batch must be 0 (all rows) or more, got %d", batch));
  if (batch == 0) batch = x.size(0);
  if (x.size(0) == 0 || x.size(0) < batch)
    return DataError(absl::StrFormat("data.tensors: %d rows are less than one batch of %d", x.size(0), batch));
  return std::shared_ptr<TensorBatches>(new TensorBatches(std::move(x), std::move(y), batch));
}

}  // namespace lanthorn::data
