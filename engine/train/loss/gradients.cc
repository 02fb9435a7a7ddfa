#include "engine/train/loss/gradients.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <limits>
#include <utility>

#include "engine/kernels/encoder/recompute.h"
#include "engine/nn/buffers_aside.h"
#include "engine/train/report/phase_clock.h"
#include "engine/train/state/random_state.h"
#include "engine/tscore/loop.h"
#include "engine/tscore/published.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::train {
namespace {

// The forward is over at the end of its life, by an exception too.
class CloseRecorder {
 public:
  explicit CloseRecorder(tscore::Recorder::Ptr recorder) : recorder_(std::move(recorder)) {}
  ~CloseRecorder() {
    if (recorder_ != nullptr) recorder_->Close();
  }

 private:
  tscore::Recorder::Ptr recorder_;
};

// The published eps is absolute, and meant for gradients of the samples' own losses: N times their shares of the mean,
// but for the score by loops, whose gradients are such already.
void ApplyPublishedFormula(bool loop, tscore::Score* score) {
  const double scale = loop ? 1 : static_cast<double>(score->n * score->n);
  score->t = tscore::Published(tscore::Form::kV11, scale * score->s, scale * score->q, score->n);
  score->status = "v1.1";
}

}  // namespace

// Batch j counts with the share of its targets. How many there are in all is known at the end only: the gradients are
// made for batches as large as the first, and put right where that was wrong.
struct Gradients::Weights {
  double batches = 1;
  double assumed = 0, summed = 0;  // targets that were assumed; of the losses of all targets

  bool single() const { return batches == 1; }
  // Adds a loss, which becomes its share of the mean.
  void Add(double value, double targets, at::Tensor* loss) {
    if (assumed == 0) assumed = targets * batches;
    if (!single()) *loss = *loss * (targets / assumed);
    summed += single() ? value : value * targets;
  }
  // Puts gradients, sums of T-Score, loss and terms right.
  void Finish(const std::vector<nn::NamedParameter>& parameters, tscore::Tally* tally, GradientPass* pass) const {
    const double targets = static_cast<double>(pass->targets);
    pass->value = single() ? summed : summed / targets;
    if (single()) return;
    for (auto& [name, value] : pass->terms) value /= targets;
    const double factor = assumed / targets;
    if (factor == 1) return;
    const at::NoGradGuard no_grad;
    for (const auto& parameter : parameters) {
      if (parameter.tensor.grad().defined()) parameter.tensor.mutable_grad().mul_(factor);
    }
    tally->Scale(factor);
  }
};

absl::StatusOr<Loss> Gradients::CheckedLoss(const data::Batch& batch) const {
  LANTHORN_ASSIGN_OR_RETURN(Loss loss, loss_(batch));
  if (!loss.mean.defined() || loss.mean.numel() != 1)
    return Error(ExitCode::kScript, "train: the loss must be a tensor of one element");
  if (loss.targets > 0 && !loss.mean.requires_grad())
    return NumericsError("train: the loss does not depend on any trainable parameter");
  if (loss.mean.device() != options_.device) {
    return MachineError("G01 device: the loss is on " + loss.mean.device().str() + ", training is on " +
                        options_.device.str());
  }
  return loss;
}

absl::Status Gradients::AddBatch(const data::Batch& batch, tscore::Tally* tally, bool verify, PhaseSeconds* phases,
                                 Weights* weights, GradientPass* pass) const {
  tscore::Recorder::Ptr recorder;
  Loss loss;
  {
    const PhaseClock clock(phases, Phase::kForward);
    if (tally != nullptr) recorder = tally->Open(parameters_, batch.x.size(0));
    const CloseRecorder close(recorder);
    const kernels::RecomputeScope recompute(options_.recompute);
    LANTHORN_ASSIGN_OR_RETURN(loss, CheckedLoss(batch));
    if (loss.targets == 0) {
      ++pass->empty;
      if (tally != nullptr) tally->AddWithoutTargets(batch.x.size(0));
      return absl::OkStatus();
    }
    const double targets = static_cast<double>(loss.targets);
    weights->Add(loss.mean.item<double>(), targets, &loss.mean);
    LANTHORN_ASSIGN_OR_RETURN(const TermValues terms, ReadTerms(loss.terms));
    AddTerms(terms, weights->single() ? 1 : targets, &pass->terms);
  }
  {
    const PhaseClock clock(phases, Phase::kBackward);
    loss.mean.backward();
  }
  pass->targets += loss.targets;
  if (tally == nullptr) return absl::OkStatus();
  const PhaseClock clock(phases, Phase::kTScore);
  return tally->Add(recorder.get(), parameters_, verify);
}

absl::StatusOr<GradientPass> Gradients::Of(const std::vector<data::Batch>& batches, TScore tscore,
                                           PhaseSeconds* phases) const {
  GradientPass pass;
  tscore::Tally tally(options_.groups);
  Weights weights{.batches = static_cast<double>(batches.size())};
  const bool with_score = tscore != TScore::kOff, record = with_score && !options_.loop;
  for (const data::Batch& batch : batches) {  // the graph ends with its batch
    LANTHORN_RETURN_IF_ERROR(
        AddBatch(batch, record ? &tally : nullptr, tscore == TScore::kVerified, phases, &weights, &pass));
  }
  if (pass.targets == 0) {
    pass.value = std::numeric_limits<double>::quiet_NaN();
    return pass;
  }
  weights.Finish(parameters_, &tally, &pass);
  if (!with_score) return pass;
  const PhaseClock clock(phases, Phase::kTScore);
  LANTHORN_ASSIGN_OR_RETURN(pass.score, record ? tally.Finish(parameters_) : LoopScore(batches));
  if (options_.v11) ApplyPublishedFormula(options_.loop, &*pass.score);
  return pass;
}

// N forward and backward passes of one sample each; the training gradients, buffers and random state are put back.
absl::StatusOr<tscore::Score> Gradients::LoopScore(const std::vector<data::Batch>& batches) const {
  const RandomState random;
  const nn::BuffersAside buffers(*model_);
  std::vector<std::pair<const data::Batch*, int64_t>> samples;
  for (const data::Batch& batch : batches) {
    for (int64_t row = 0; row < batch.x.size(0); ++row) samples.emplace_back(&batch, row);
  }
  const auto loss = [&](int64_t i) -> absl::StatusOr<tscore::WeightedLoss> {
    const auto& [batch, row] = samples[static_cast<size_t>(i)];
    LANTHORN_ASSIGN_OR_RETURN(const Loss one, loss_({batch->x.narrow(0, row, 1), batch->y.narrow(0, row, 1)}));
    return tscore::WeightedLoss{one.mean, static_cast<double>(one.targets)};
  };
  return tscore::LoopScore(parameters_, static_cast<int64_t>(samples.size()), loss, options_.groups);
}

}  // namespace lanthorn::train
