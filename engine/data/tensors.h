// Batches over tensors in memory: rows of x and y, in order.
#pragma once

#include "engine/data/batches.h"

namespace lanthorn::data {

class TensorBatches final : public Batches {
 public:
  // x and y have the same number of rows; `batch` 0 takes all rows as one batch. The incomplete last batch is dropped.
  // Different row counts or fewer rows than a batch are data errors.
  static absl::StatusOr<std::shared_ptr<TensorBatches>> Make(at::Tensor x, at::Tensor y, int64_t batch);

  int64_t count() const override { return x_.size(0) / batch_; }
  int64_t rows() const override { return batch_; }
  int64_t targets() const override { return batch_ * (y_.numel() / y_.size(0)); }
  Batch Get(int64_t index) const override {
    return {x_.narrow(0, index * batch_, batch_), y_.narrow(0, index * batch_, batch_)};
  }

 private:
  TensorBatches(at::Tensor x, at::Tensor y, int64_t batch) : x_(std::move(x)), y_(std::move(y)), batch_(batch) {}
  at::Tensor x_, y_;
  int64_t batch_;
};

}  // namespace lanthorn::data
