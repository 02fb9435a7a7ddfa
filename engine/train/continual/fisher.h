// How important each weight is for a task: the diagonal of the empirical Fisher matrix, in one of two forms.
//
//   batch    mean over batches of (gradient of the batch's mean loss)^2: what published code computes; smaller than the
//            other by up to the number of rows.
//   sample   mean over samples of (gradient of the sample's own mean loss)^2: the diagonal itself. Its sum is Q / N.
//
// The gradients of the samples come from the backward that T-Score uses; there is no backward for each.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "engine/data/batches.h"
#include "engine/nn/module.h"
#include "engine/train/loss/loss.h"

namespace lanthorn::train {

enum class FisherOf { kBatch, kSample };

// One tensor for each parameter, undefined where it has no gradient, from `count` batches that get(i) gives, in eval
// mode. Gradients are cleared; nothing else changes. `tick` is called after each batch. DataError without a batch that
// has targets. For samples every parameter needs a layer with a sampler, as for T-Score.
absl::StatusOr<std::vector<at::Tensor>> Fisher(nn::Module& model, const LossFn& loss, int64_t count,
                                               const std::function<data::Batch(int64_t)>& get, FisherOf of,
                                               const std::function<void(int64_t)>& tick = {});

}  // namespace lanthorn::train
