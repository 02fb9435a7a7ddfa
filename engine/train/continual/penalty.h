// A part of the objective that depends on the weights alone. Its gradient comes on top of that of the data, behind
// T-Score, which is about samples, and before clipping.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/files/safetensors.h"
#include "engine/base/status.h"
#include "engine/nn/module.h"

namespace lanthorn::train {

class Penalty {
 public:
  virtual ~Penalty() = default;
  // What its value is logged as, beside the loss.
  virtual const char* name() const = 0;
  // Whether there is anything to add yet.
  virtual bool active() const = 0;
  // The update is made, or left out: what AddGradient said last is what counts of it.
  virtual void CountUpdate() {}
  // Adds its gradient to those of the parameters, in their order; gives its value.
  virtual absl::StatusOr<double> AddGradient(const std::vector<nn::NamedParameter>& parameters) = 0;

  // What a checkpoint holds of it.
  virtual NamedTensors Tensors() const = 0;
  virtual nlohmann::json State() const = 0;
  // As at the beginning of a training.
  virtual void Clear() = 0;
  // Takes both back. WeightsError where they are not of these parameters.
  virtual absl::Status Load(const NamedTensors& tensors, const nlohmann::json& state) = 0;
};

}  // namespace lanthorn::train
