// What a predicted block does to the weights: a guess of the updates that are left out, all of them at once, since
// nothing looks at the weights in between. Memory is read once a block.
//
//   extrapolate  step j: m <- beta1 m, v as it is, theta -= lr gamma^j m^ / (sqrt(v^) + eps); of SGD the momentum's
//   buffer linear_fit   step j: theta += gamma^j u, u the mean of the last full block's updates, the later ones more
//   (decay rho) random_dir   the same lengths as linear_fit with a random sign for every element: a control noop
//   nothing (published)
#pragma once

#include <memory>
#include <vector>

#include "engine/optim/optimizer.h"
#include "engine/train/hybrid/hybrid_options.h"

namespace lanthorn::train {

class Predictor {
 public:
  // ConfigError where the optimiser has nothing that the arm could go on with.
  static absl::Status Check(const HybridOptions& options, const optim::Optimizer& optimizer);
  Predictor(const HybridOptions& options, std::vector<nn::NamedParameter> parameters,
            std::shared_ptr<optim::Optimizer> optimizer);

  // A full block begins, or one of its updates is done: what linear_fit goes on with.
  void BeginBlock();
  void AfterUpdate();

  // Keeps the weights as they are, and moves them by a block of so many predicted steps. Gives how far they went.
  // `block`: its number, for random_dir.
  double Predict(int64_t steps, int64_t block);
  // The weights as they were before the last Predict, bit for bit.
  void Restore();
  // Whether there is something to restore.
  bool kept() const { return !before_.empty(); }
  // They are not needed any more.
  void Drop() { before_.clear(); }

  // What a checkpoint holds, by name; Load takes it back, WeightsError for a tensor that is not one of it.
  std::vector<nn::NamedParameter> Tensors() const;
  absl::Status Load(const std::vector<nn::NamedParameter>& tensors, int64_t updates);
  int64_t updates() const { return updates_; }

 private:
  bool fits() const { return options_.arm == "linear_fit" || options_.arm == "random_dir"; }
  void Extend(int64_t steps, int64_t block);

  HybridOptions options_;
  std::vector<nn::NamedParameter> parameters_;
  std::shared_ptr<optim::Optimizer> optimizer_;
  std::vector<at::Tensor> before_;  // weights at the beginning of the block
  std::vector<at::Tensor> mean_;    // of the weights over the full block's updates
  int64_t updates_ = 0;             // in mean_
};

}  // namespace lanthorn::train
