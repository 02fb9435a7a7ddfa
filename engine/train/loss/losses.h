// Losses by name, as PyTorch's functions compute them: the mean over all targets of a batch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/nn/module.h"
#include "engine/train/loss/loss.h"

namespace lanthorn::train {

// cross_entropy, nll: class numbers. mse, l1, huber, smooth_l1, bce_with_logits: numbers of the output's shape.
const std::vector<std::string>& LossNames();

// ConfigError, with the nearest name and all of them, for an unknown name.
absl::Status CheckLossName(const std::string& name);

// The loss of a model's output. Targets that do not fit the output are a data error that says what would.
absl::StatusOr<Loss> LossOfOutput(const std::string& name, const at::Tensor& output, const at::Tensor& y);

// The loss of model(x). A model that ends with a linear layer is split before it for cross_entropy, and layer and loss
// run as one (kernels/loss/linear_cross_entropy.h).
absl::StatusOr<LossFn> NamedLoss(const std::string& name, std::shared_ptr<nn::Module> model);

// Output and class numbers as (M, V) and (M): the classes are the output's last dimension, as in language models, or,
// where only that fits, dimension 1, as in torch.nn. `who` stands in front of the error.
struct Classes {
  at::Tensor scores, numbers;
};
absl::StatusOr<Classes> AsClasses(const std::string& who, const at::Tensor& output, const at::Tensor& y);

// Output and targets of one shape and floating point, or an error.
absl::Status CheckNumbers(const std::string& who, const at::Tensor& output, const at::Tensor& y);

}  // namespace lanthorn::train
