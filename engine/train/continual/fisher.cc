#include "engine/train/continual/fisher.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "engine/train/eval/eval_scope.h"
#include "engine/train/state/random_state.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::train {
namespace {

// The squares that one batch adds. A sample's share of the mean loss is its own loss over their number, so that the
// squares of shares are smaller by its square.
absl::StatusOr<std::vector<at::Tensor>> SquaresOf(const std::vector<tscore::NamedParameter>& parameters,
                                                  tscore::Recorder* recorder, int64_t rows) {
  std::vector<at::Tensor> squares;
  if (recorder != nullptr) {
    LANTHORN_ASSIGN_OR_RETURN(squares, recorder->ElementSquares(parameters));
    for (at::Tensor& one : squares) {
      if (one.defined()) one.mul_(static_cast<double>(rows));
    }
    return squares;
  }
  for (const tscore::NamedParameter& parameter : parameters) {
    const at::Tensor& gradient = parameter.tensor.grad();
    squares.push_back(gradient.defined() ? gradient.square() : at::Tensor());
  }
  return squares;
}

}  // namespace

absl::StatusOr<std::vector<at::Tensor>> Fisher(nn::Module& model, const LossFn& loss, int64_t count,
                                               const std::function<data::Batch(int64_t)>& get, FisherOf of,
                                               const std::function<void(int64_t)>& tick) {
  const RandomState random;
  const EvalScope eval(model);
  const std::vector<tscore::NamedParameter> parameters = model.Parameters();
  const absl::Cleanup clear = [&model] { model.ZeroGrad(); };
  std::vector<at::Tensor> sums(parameters.size());
  int64_t counted = 0;
  for (int64_t i = 0; i < count; ++i) {
    const data::Batch batch = get(i);
    const int64_t rows = batch.x.size(0);
    model.ZeroGrad();
    tscore::Recorder::Ptr recorder = of == FisherOf::kSample ? tscore::Recorder::Open(rows) : nullptr;
    const absl::Cleanup close = [&recorder] {
      if (recorder != nullptr) recorder->Close();
    };
    LANTHORN_ASSIGN_OR_RETURN(const Loss value, loss(batch));
    if (recorder != nullptr) recorder->Close();
    if (value.targets == 0) continue;
    value.mean.backward();
    const at::NoGradGuard no_grad;
    LANTHORN_ASSIGN_OR_RETURN(const std::vector<at::Tensor> squares, SquaresOf(parameters, recorder.get(), rows));
    for (size_t p = 0; p < squares.size(); ++p) {
      if (squares[p].defined()) sums[p] = sums[p].defined() ? sums[p].add_(squares[p]) : squares[p];
    }
    ++counted;
    if (tick) tick(i + 1);
  }
  if (counted == 0) return DataError(absl::StrFormat("ewc: none of %d batches has a target to take F from", count));
  for (at::Tensor& sum : sums) {
    if (sum.defined()) sum.div_(static_cast<double>(counted));
  }
  return sums;
}

}  // namespace lanthorn::train
