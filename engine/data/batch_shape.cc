#include "engine/data/batch_shape.h"

#include <ATen/Functions.h>

#include "absl/strings/str_format.h"

namespace lanthorn::data {

BatchShape ShapeOf(const Batch& batch, int64_t asked) {
  BatchShape shape;
  const auto rows = [](const at::Tensor& t) { return t.dim() > 0 ? t.size(0) : 0; };
  shape.items = std::min(rows(batch.x), rows(batch.y));
  shape.asked = asked;
  shape.targets = batch.y.numel();
  if (!c10::isIntegralType(batch.y.scalar_type(), /*includeBool=*/false)) return shape;
  const at::Tensor masked = batch.y.eq(kMaskedTarget).to(c10::kCPU);
  shape.masked = masked.sum().item<int64_t>();
  if (batch.y.dim() != 2) return shape;
  shape.width = shape.longest = batch.y.size(1);
  if (shape.masked == 0) return shape;
  const at::Tensor rows_of = masked.contiguous();
  const bool* at = rows_of.data_ptr<bool>();
  shape.longest = 0;
  for (int64_t row = 0; row < batch.y.size(0); ++row) {
    int64_t length = shape.width;
    while (length > 0 && at[row * shape.width + length - 1]) --length;
    shape.padding += shape.width - length;
    shape.longest = std::max(shape.longest, length);
  }
  return shape;
}

absl::Status CheckBatchShape(const BatchShape& shape) {
  if (shape.items < shape.asked) {
    return DataError(absl::StrFormat(
        "G21 batch_shape: the first batch has %d %s, expected %d; does the loader drop or filter samples? set "
        "data.batch to what it gives, or let it fill the batch",
        shape.items, shape.items == 1 ? "item" : "items", shape.asked));
  }
  if (shape.targets == 0 || shape.masked < shape.targets) return absl::OkStatus();
  return DataError(absl::StrFormat(
      "G21 batch_shape: all %d targets of the first batch are masked (%d), so there is nothing to learn from",
      shape.targets, kMaskedTarget));
}

}  // namespace lanthorn::data
