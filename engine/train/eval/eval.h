// The mean loss and the metrics over batches, in eval mode and without gradient.
#pragma once

#include <functional>
#include <memory>

#include "engine/data/batches.h"
#include "engine/kernels/gemm/precision.h"
#include "engine/nn/module.h"
#include "engine/train/eval/metrics.h"
#include "engine/train/fit_options.h"
#include "engine/train/loss/loss.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

class Evaluator {
 public:
  using OutputFn = std::function<absl::StatusOr<at::Tensor>(const at::Tensor& x)>;

  // `output` is what metrics are computed from. With a `loss_name` (losses.h) an eval with metrics takes both from one
  // forward.
  Evaluator(std::shared_ptr<nn::Module> model, LossFn loss, OutputFn output, std::string loss_name,
            const EvalSection& options, const kernels::Precision& precision, c10::Device device);

  // Over the first options.val_cap batches; `stop` is asked before each, and `part(done, of)` told behind it.
  absl::StatusOr<EvalRecord> Over(const data::Batches& batches, const std::function<bool()>& stop,
                                  const std::function<void(int64_t, int64_t)>& part) const;
  void SetValCap(int64_t batches) { options_.val_cap = batches; }
  // The loss of one batch, which is added to the metrics.
  absl::StatusOr<Loss> LossOf(const data::Batch& batch, Metrics* metrics) const;

 private:
  std::shared_ptr<nn::Module> model_;
  LossFn loss_;
  OutputFn output_;
  std::string loss_name_;
  EvalSection options_;
  kernels::Precision precision_;
  c10::Device device_;
};

}  // namespace lanthorn::train
