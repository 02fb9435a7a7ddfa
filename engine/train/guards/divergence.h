// How a training that diverges is noticed and what is kept of the update that did it (guard G23).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/files/safetensors.h"
#include "engine/base/status.h"
#include "engine/nn/module.h"
#include "engine/optim/optimizer.h"
#include "engine/train/loss/loss.h"
#include "engine/train/report/records.h"
#include "engine/train/report/running_quantile.h"

namespace lanthorn::train {

// What is not finite in an update: the first term or the loss, and the first parameter whose value or gradient is bad.
// Empty when loss, terms and norm are finite: then parameters are not looked at. `when`: such as "at update 7".
std::string NonfiniteCause(const std::string& when, double loss, const TermValues& terms, double grad_norm,
                           const std::vector<nn::NamedParameter>& parameters);

// Writes `<folder>/nonfinite-step-N.safetensors`, the batches (x, y; x.2, y.2 ... of further micro-batches), and
// `<folder>/nonfinite-step-N-state.safetensors`, a diagnostic checkpoint: parameter/<name>, gradient/<name> and
// optimizer/<slot>/<name>. Resuming does not take it as a checkpoint. Gives the paths, joined by " and ".
absl::StatusOr<std::string> DumpUpdate(const std::string& folder, int64_t step, const std::string& cause,
                                       const std::vector<data::Batch>& batches,
                                       const std::vector<nn::NamedParameter>& parameters,
                                       const optim::Optimizer& optimizer);

// Whether the loss ran away: above `ratio` times the first loss of the training, or of the domain of this update where
// that was higher, once `warm_up` updates are over.
// A first loss that is not positive says nothing. Gives the message.
std::optional<std::string> LossSpike(int64_t step, double loss, double first_loss, double ratio, int64_t warm_up);

// Gradient norms that leave their running median far behind. Warns rarely: after a warning at update n not before 2 n.
class GradientNormWatch {
 public:
  static constexpr int64_t kFewest = 50;  // norms before one is judged

  // `ratio` 0: never. `clip_norm`: what the norm is clipped to, for the advice; 0: it is not.
  explicit GradientNormWatch(double ratio, double clip_norm = 0) : ratio_(ratio), clip_norm_(clip_norm) {}
  std::optional<Warning> Add(int64_t step, double norm);

 private:
  double ratio_, clip_norm_;
  int64_t seen_ = 0, quiet_until_ = 0;
  RunningQuantile median_{0.5};
};

}  // namespace lanthorn::train
