#include "engine/train/eval/eval.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "engine/train/eval/eval_scope.h"
#include "engine/train/fetch.h"
#include "engine/train/loss/losses.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::train {

Evaluator::Evaluator(std::shared_ptr<nn::Module> model, LossFn loss, OutputFn output, std::string loss_name,
                     const EvalSection& options, const kernels::Precision& precision, c10::Device device)
    : model_(std::move(model)),
      loss_(std::move(loss)),
      output_(std::move(output)),
      loss_name_(std::move(loss_name)),
      options_(options),
      precision_(precision),
      device_(device) {}

absl::StatusOr<EvalRecord> Evaluator::Over(const data::Batches& batches, const std::function<bool()>& stop,
                                           const std::function<void(int64_t, int64_t)>& part) const {
  LANTHORN_ASSIGN_OR_RETURN(Metrics metrics, Metrics::Make(options_.metrics));
  const EvalScope eval(*model_);
  const tscore::Recorder::Pause no_recorder;
  const at::NoGradGuard no_grad;
  const double begin = Now();
  EvalRecord record;
  record.of = batches.count();
  const int64_t wanted = options_.val_cap > 0 ? std::min(options_.val_cap, record.of) : record.of;
  double sum = 0;
  PhaseSeconds unused{};
  for (int64_t i = 0; i < wanted; ++i) {
    if (stop != nullptr && stop()) break;
    LANTHORN_ASSIGN_OR_RETURN(const Loss loss, LossOf(Fetch(batches, i, device_, &unused), &metrics));
    if (loss.targets > 0)
      sum += loss.mean.item<double>() * static_cast<double>(loss.targets);  // a mean over none is NaN
    record.targets += loss.targets;
    record.batches = i + 1;
    part(record.batches, wanted);
  }
  if (record.targets > 0) record.loss = sum / static_cast<double>(record.targets);
  record.metrics = metrics.Values();
  record.seconds = Now() - begin;
  return record;
}

absl::StatusOr<Loss> Evaluator::LossOf(const data::Batch& batch, Metrics* metrics) const {
  if (metrics->empty()) return loss_(batch);
  const kernels::PrecisionScope scope(precision_);
  LANTHORN_ASSIGN_OR_RETURN(const at::Tensor output, output_(batch.x));
  LANTHORN_RETURN_IF_ERROR(metrics->Add(output, batch.y));
  return loss_name_.empty() ? loss_(batch) : LossOfOutput(loss_name_, output, batch.y);
}

}  // namespace lanthorn::train
