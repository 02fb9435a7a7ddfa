// The trainer around the loop: what it is made of, what it plans, evals and probes outside of a training.
#include "engine/train/trainer.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "engine/kernels/loss/linear_cross_entropy.h"
#include "engine/train/eval/eval_scope.h"
#include "engine/train/fetch.h"
#include "engine/train/guards/alive_check.h"
#include "engine/train/guards/step_guards.h"
#include "engine/train/state/state_hash.h"

namespace lanthorn::train {
namespace {

// The loss in a precision; its backward keeps it.
LossFn InPrecision(const kernels::Precision& precision, LossFn loss) {
  return [precision, loss = std::move(loss)](const data::Batch& batch) {
    const kernels::PrecisionScope scope(precision);
    return loss(batch);
  };
}

Evaluator::OutputFn OutputOf(const std::shared_ptr<nn::Module>& model, const FitOptions& options) {
  if (options.output != nullptr) return options.output;
  return [model](const at::Tensor& x) -> absl::StatusOr<at::Tensor> { return model->Forward(x, nullptr); };
}

}  // namespace

int64_t CountTargets(const at::Tensor& y) {
  if (!c10::isIntegralType(y.scalar_type(), /*includeBool=*/false)) return y.numel();
  return y.ne(kernels::kIgnoredTarget).sum().item<int64_t>();
}

Trainer::Trainer(std::shared_ptr<nn::Module> model, LossFn loss, std::shared_ptr<data::Batches> train,
                 std::shared_ptr<data::Batches> val, std::shared_ptr<optim::Optimizer> optimizer, FitOptions options)
    : model_(std::move(model)),
      loss_(InPrecision(options.precision, std::move(loss))),
      train_(std::move(train)),
      val_(std::move(val)),
      optimizer_(std::move(optimizer)),
      options_(std::move(options)),
      given_(options_),
      gradients_(model_, loss_,
                 {options_.device, options_.tscore_groups, options_.tscore.loop(), options_.tscore.v11(),
                  options_.train.recompute}),
      evaluator_(model_, loss_, OutputOf(model_, options_), options_.loss_name, options_.eval, options_.precision,
                 options_.device),
      parameters_(model_->Parameters()) {
  train_->SetEpoch(0);  // a training before this one may have left its last epoch in shared batches
}

Trainer::~Trainer() = default;

int64_t Trainer::epoch_steps() const { return options_.train.EpochUpdates(train_->count()); }

int64_t Trainer::planned_steps() const { return options_.train.Updates(train_->count()); }

std::string Trainer::StateHash() const {
  return absl::StrFormat("%016x", train::StateHash(optimizer_->StateTensors(), train::StateHash(model_->StateDict())));
}

void Trainer::Announce(const std::string& phase) {
  for (const auto& observer : observers_) observer->OnPhase(phase);
}

absl::Status Trainer::Warn(const std::string& message, std::optional<double> value, std::optional<double> limit) {
  return Warn(Warning{message, result_.steps, value, limit});
}

absl::Status Trainer::Warn(const Warning& warning) {
  for (const auto& observer : observers_) LANTHORN_RETURN_IF_ERROR(observer->OnWarning(warning));
  return absl::OkStatus();
}

absl::StatusOr<EvalRecord> Trainer::Evaluate(const std::function<bool()>& stop) {
  return val_ != nullptr ? EvaluateOn(*val_, stop) : EvaluateOn(data::NoBatches(), stop);
}

absl::StatusOr<EvalRecord> Trainer::EvaluateOn(const data::Batches& batches, const std::function<bool()>& stop) {
  return evaluator_.Over(batches, stop, [this](int64_t done, int64_t of) {
    for (const auto& observer : observers_) observer->OnPart(done, of);
  });
}

absl::Status Trainer::SetPenalty(std::shared_ptr<Penalty> penalty) {
  penalty_ = std::move(penalty);
  if (!unclaimed_) return absl::OkStatus();
  const CheckpointContent content = *std::exchange(unclaimed_, {});
  return penalty_->Load(content.penalty, content.state.at("penalty"));
}

absl::StatusOr<std::vector<at::Tensor>> Trainer::FisherOver(int64_t first, int64_t batches, FisherOf of) {
  PhaseSeconds unused{};
  const auto get = [&](int64_t i) { return Fetch(train_->Own(), first + i, options_.device, &unused); };
  const int64_t count = std::min(batches, train_->count() - first);
  return Fisher(*model_, loss_, count, get, of, [&](int64_t done) {
    for (const auto& observer : observers_) observer->OnPart(done, count);
  });
}

absl::StatusOr<std::vector<tscore::Score>> Trainer::ProbeTScore(int64_t batches) {
  const EvalScope eval(*model_);
  std::vector<tscore::Score> scores;
  PhaseSeconds unused{};
  for (int64_t i = 0; i < std::min(batches, train_->count()); ++i) {
    model_->ZeroGrad();
    LANTHORN_ASSIGN_OR_RETURN(const GradientPass pass, gradients_.Of({Fetch(*train_, i, options_.device, &unused)},
                                                                     Gradients::TScore::kOn, &unused));
    if (pass.score) scores.push_back(*pass.score);  // a batch without targets has none
    for (const auto& observer : observers_) observer->OnPart(i + 1, batches);
  }
  model_->ZeroGrad();
  return scores;
}

}  // namespace lanthorn::train
