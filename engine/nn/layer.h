// The registry of layers. A layer is one file: class, factory, signature, documentation; Lua, the API reference and the
// T-Score contract suite find it here.
#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::nn {

// The word 'same' as a padding among a layer's arguments: a number that nobody can type.
inline constexpr int64_t kSamePadding = std::numeric_limits<int64_t>::min();

struct LayerSpec {
  const char*
      signature;  // ATen's schema grammar without a result: "Linear(int in_features, int out_features, bool bias=True)"
  const char* doc;      // shapes, formula, source
  const char* example;  // Lua
  // Builds the layer from the signature's arguments, in order, defaults filled. Impossible values are c10::Error.
  std::function<std::shared_ptr<Module>(const std::vector<c10::IValue>&)> make;

  std::string name() const { return std::string(signature).substr(0, std::string(signature).find('(')); }
};

// All registered layers, sorted by name.
std::vector<LayerSpec>& Layers();

struct RegisterLayer {
  explicit RegisterLayer(LayerSpec spec);
};

}  // namespace lanthorn::nn

#define LANTHORN_LAYER(...) \
  static const ::lanthorn::nn::RegisterLayer register_layer(::lanthorn::nn::LayerSpec{__VA_ARGS__})
