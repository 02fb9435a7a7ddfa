#include "engine/nn/layer.h"

namespace lanthorn::nn {

std::vector<LayerSpec>& Layers() {
  static std::vector<LayerSpec> layers;
  return layers;
}

RegisterLayer::RegisterLayer(LayerSpec spec) {
  std::vector<LayerSpec>& layers = Layers();
  const auto after = [](const LayerSpec& a, const LayerSpec& b) { return a.name() < b.name(); };
  layers.insert(std::upper_bound(layers.begin(), layers.end(), spec, after), std::move(spec));
}

}  // namespace lanthorn::nn
