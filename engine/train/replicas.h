// The gradients of one batch by several threads that each take some of its rows, every product on one thread: the other
// way to use cores than all of them in each product. For measurements of how training scales; the weights are shared,
// only the gradients are there once for each replica.
#pragma once

#include <memory>

#include "engine/base/status.h"
#include "engine/data/batches.h"
#include "engine/nn/module.h"

namespace lanthorn::train {

struct ReplicaPass {
  double loss = 0;                                     // mean cross entropy of the batch
  double forward_s = 0, backward_s = 0, reduce_s = 0;  // of the slowest replica; of the sum over replicas
};

// Leaves the gradients of the batch's mean cross entropy in the model's parameters, summed in the order of the
// replicas. One replica is the ordinary way, on all of LibTorch's threads. ConfigError where the rows cannot be divided
// evenly, and for a model with a forward in Lua, which only one thread may call.
absl::StatusOr<ReplicaPass> ReplicaGradients(const std::shared_ptr<nn::Module>& model, const data::Batch& batch,
                                             int64_t replicas);

}  // namespace lanthorn::train
