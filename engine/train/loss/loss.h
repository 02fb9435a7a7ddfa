// What a loss function gives for a batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/data/batches.h"

namespace lanthorn::train {

// A named part of a loss, logged and checked apart. One that is only watched (`monitor`) needs no gradient.
struct LossTerm {
  std::string name;
  at::Tensor value;  // one element
  bool monitor = false;
};

// The mean loss of a batch (a scalar with a graph) and over how many targets it is the mean. `terms` are for the
// record: the gradients are those of `mean`.
struct Loss {
  at::Tensor mean;
  int64_t targets = 0;
  std::vector<LossTerm> terms = {};
};
using LossFn = std::function<absl::StatusOr<Loss>(const data::Batch&)>;

// Values of terms by name, in the order they were given.
using TermValues = std::vector<std::pair<std::string, double>>;

// The terms' values. An error when one is not a single number, and when one changes the printed loss but never a weight
// (guard G44): a value other than 0 without gradient that is not a monitor.
absl::StatusOr<TermValues> ReadTerms(const std::vector<LossTerm>& terms);

// Adds `weight` times each value to the sum of its name.
void AddTerms(const TermValues& values, double weight, TermValues* sums);

}  // namespace lanthorn::train
