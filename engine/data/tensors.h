// Batches over tensors in memory: rows of x and y, in order or in a new order each epoch.
#pragma once

#include <vector>

#include "engine/base/options/option_row.h"
#include "engine/data/batches.h"

namespace lanthorn::data {

struct TensorOptions {
  int64_t batch = 0;       // 0: all rows as one batch
  bool drop_last = false;  // leave out the rows that do not fill a last batch
  bool shuffle = false;    // a new order of rows each epoch, from `seed`
  int64_t seed = 0;
};

template <typename Visit>
void Fields(Visit&& visit, TensorOptions& options) {
  visit({"batch", "rows of a batch; 0: all"}, options.batch);
  visit({"drop_last", "leave out the rows that do not fill a last batch"}, options.drop_last);
  visit({"shuffle", "a new order of the rows each epoch"}, options.shuffle);
  visit({"seed", "of the order"}, options.seed);
}

class TensorBatches final : public Batches {
 public:
  // x and y have the same number of rows. Different row counts or fewer rows than a batch are data errors.
  static absl::StatusOr<std::shared_ptr<TensorBatches>> Make(at::Tensor x, at::Tensor y, const TensorOptions& options);

  int64_t count() const override { return (samples() + options_.batch - 1) / options_.batch; }
  int64_t rows() const override { return options_.batch; }
  int64_t targets() const override { return options_.batch * (y_.numel() / y_.size(0)); }
  int64_t samples() const override { return x_.size(0) - left_out(); }
  int64_t left_out() const override { return options_.drop_last ? x_.size(0) % options_.batch : 0; }
  int64_t epoch_targets() const override { return epoch_targets_; }
  Batch Get(int64_t index) const override;
  void SetEpoch(int64_t epoch) override;

 private:
  TensorBatches(at::Tensor x, at::Tensor y, TensorOptions options);
  at::Tensor x_, y_;
  TensorOptions options_;
  int64_t epoch_targets_ = 0;
  at::Tensor order_;  // row numbers, when shuffled
};

}  // namespace lanthorn::data
