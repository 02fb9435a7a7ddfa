// Which parts of the parameters an update moves, and how far: what selective training puts between an optimiser's rule
// and the weights. Masking the update, not the gradient: momentum and weight decay move what only has no gradient.
#pragma once

#include <string>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::optim {

using nn::NamedParameter;

// How one parameter p is masked. With theta the values before the optimiser's full step and new those after it,
// slice i of dimension 0 (all of p where `factors` has one element) becomes theta + f[i] (new - theta), exactly theta
// at f = 0 and exactly new at f = 1.
struct PartMask {
  at::Tensor factors;     // (n) float32 in [0, 1] on the parameter's device; undefined: all of it moves
  at::Tensor least;       // scalar: elements whose gradient is smaller stay as they are; undefined: none do
  bool gradient = false;  // the factors multiply the gradient before the optimiser's step, and all of it moves
  bool lazy = false;      // state (moments, step counts) of a slice with f = 0 stays as it is
  at::Tensor ok;          // scalar on the parameter's device: at 0 parameter and state stay as they are; undefined: 1

  bool IsWhole() const { return !factors.defined() && !least.defined() && !ok.defined(); }
};

class UpdateMask {
 public:
  virtual ~UpdateMask() = default;

  // Before each update, with the gradients that it is made from. `domains`: which of several texts each of its batches
  // comes from; empty: as before.
  virtual void Prepare(const std::vector<NamedParameter>& parameters, const std::vector<int64_t>& domains) = 0;
  // After the update that Prepare was for.
  virtual void Finish() {}
  // The mask of one of these parameters in this update.
  virtual PartMask Of(const NamedParameter& parameter) const = 0;
  // Whether the update that Prepare was for is known to move nothing and to leave all state as it is.
  virtual bool IsHeld() const { return false; }
  // Whether some update may leave all of this parameter as it is.
  virtual bool MayRest(const NamedParameter& parameter) const = 0;
  // What a checkpoint keeps; LoadState copies the values of tensors of these names, and WeightsError names the first
  // that is missing or has another shape.
  virtual std::vector<NamedParameter> State() const = 0;
  absl::Status LoadState(const std::vector<NamedParameter>& tensors);
};

}  // namespace lanthorn::optim
