// The registry of layers. A layer is one file: class, factory, signature, documentation; Lua, the API reference and the
// T-Score contract suite find it here.
#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::nn {

// The word 'same' as a padding among a layer's arguments: a number that nobody can type.
inline constexpr int64_t kSamePadding = std::numeric_limits<int64_t>::min();

// Makes a layer from the arguments of its signature: a function of their C++ types, in their order.
class LayerMaker {
 public:
  template <typename F>
  LayerMaker(F function) : make_(Unpacked(std::move(function), &F::operator())) {}  // NOLINT: any function will do
  template <typename... Args>
  LayerMaker(std::shared_ptr<Module> (*function)(Args...))  // NOLINT
      : make_(Unpack<Args...>(function, std::index_sequence_for<Args...>())) {}

  std::shared_ptr<Module> operator()(const std::vector<c10::IValue>& arguments) const { return make_(arguments); }

 private:
  using Make = std::function<std::shared_ptr<Module>(const std::vector<c10::IValue>&)>;

  template <typename F, typename R, typename... Args>
  static Make Unpacked(F function, R (F::*)(Args...) const) {
    return Unpack<Args...>(std::move(function), std::index_sequence_for<Args...>());
  }
  template <typename... Args, typename F, size_t... I>
  static Make Unpack(F function, std::index_sequence<I...>) {
    return [function](const std::vector<c10::IValue>& a) -> std::shared_ptr<Module> {
      TORCH_CHECK(a.size() == sizeof...(Args), "the layer's maker and its signature differ");
      return function(a[I].to<std::remove_cvref_t<Args>>()...);
    };
  }
  Make make_;
};

struct LayerSpec {
  const char*
      signature;  // ATen's schema grammar without a result: "Linear(int in_features, int out_features, bool bias=True)"
  const char* doc;      // shapes, formula, source
  const char* example;  // Lua
  LayerMaker make;      // impossible values are c10::Error

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
