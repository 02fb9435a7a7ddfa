// Optimisers from the registry, by name, for tests.
#pragma once

#include <torch/csrc/jit/frontend/function_schema_parser.h>

#include "engine/optim/optimizer.h"

namespace lanthorn {

inline const optim::OptimizerSpec& FindOptimizer(const std::string& name) {
  for (const optim::OptimizerSpec& spec : optim::Optimizers()) {
    if (spec.name() == name) return spec;
  }
  throw std::invalid_argument("no optimiser " + name);
}
inline std::unique_ptr<optim::Optimizer> MakeOptimizer(const std::string& name) { return FindOptimizer(name).make(); }

// The signature's defaults, changed by `given`.
inline optim::Options OptionsOf(const std::string& name, const optim::Options& given) {
  optim::Options options;
  const c10::FunctionSchema schema = torch::jit::parseSchema(std::string(FindOptimizer(name).signature) + " -> ()");
  for (const c10::Argument& argument : schema.arguments()) {
    const c10::IValue value = *argument.default_value();
    options[argument.name()] = value.isBool() ? (value.toBool() ? 1.0 : 0.0) : value.toScalar().toDouble();
  }
  for (const auto& [key, value] : given) {
    if (options.count(key) == 0) throw std::invalid_argument(name + " has no option " + key);
    options[key] = value;
  }
  return options;
}

}  // namespace lanthorn
