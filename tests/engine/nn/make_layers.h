// Layers from the registry, by name, for tests.
#pragma once

#include <gtest/gtest.h>

#include "engine/nn/layer.h"
#include "engine/nn/layers/sequential.h"

namespace lanthorn {

using nn::Module;
using ModulePtr = std::shared_ptr<Module>;

inline ModulePtr MakeLayer(const std::string& name, const std::vector<c10::IValue>& arguments) {
  for (const nn::LayerSpec& spec : nn::Layers()) {
    if (spec.name() == name) return spec.make(arguments);
  }
  throw std::invalid_argument("no layer " + name);
}
inline ModulePtr Linear(int64_t in, int64_t out, bool bias = true) { return MakeLayer("Linear", {in, out, bias}); }
inline ModulePtr Embedding(int64_t count, int64_t channels, int64_t padding_idx = -1) {
  return MakeLayer("Embedding", {count, channels, padding_idx});
}
inline ModulePtr LayerNorm(int64_t size, bool affine = true, bool bias = true) {
  return MakeLayer("LayerNorm", {size, 1e-5, affine, bias});
}
inline ModulePtr RmsNorm(int64_t size, bool affine = true) { return MakeLayer("RMSNorm", {size, 1e-5, affine}); }
inline ModulePtr PositionalEmbedding(int64_t length, int64_t size) {
  return MakeLayer("PositionalEmbedding", {length, size});
}
// cell: "GRU" or "LSTM"
inline ModulePtr Rnn(const std::string& cell, int64_t input, int64_t hidden, int64_t layers = 1, bool bias = true,
                     bool batch_first = true, double dropout = 0) {
  return MakeLayer(cell, {input, hidden, layers, bias, batch_first, dropout});
}

inline ModulePtr Tree(const std::vector<int64_t>& branching, int64_t width, int64_t heads, int64_t feedforward,
                      double dropout = 0, const std::string& forward = "level_mean") {
  return MakeLayer("Tree", {c10::IValue(branching), width, heads, feedforward, dropout, forward});
}

inline ModulePtr MultiheadAttention(int64_t size, int64_t heads, bool causal, bool bias = true, double dropout = 0) {
  return MakeLayer("MultiheadAttention", {size, heads, dropout, bias, causal, int64_t{0}, int64_t{0}});
}
struct BlockOptions {
  double dropout = 0;
  const char* activation = "gelu";
  const char* norm = "layer";
  bool norm_first = false, causal = false;
  double eps = 1e-5;
  bool bias = true;
  int64_t head_dim = 0;
  bool norm_affine = true;
  double attention_dropout = -1, hidden_dropout = -1;  // as dropout
  int64_t relations = 0;
};
inline ModulePtr EncoderLayer(int64_t size, int64_t heads, int64_t hidden, const BlockOptions& o) {
  return MakeLayer("TransformerEncoderLayer", {size, heads, hidden, o.dropout, std::string(o.activation),
                                               std::string(o.norm), o.norm_first, o.causal, o.eps, o.bias, o.head_dim,
                                               o.norm_affine, o.attention_dropout, o.hidden_dropout, o.relations});
}

// Embedding -> GRU or LSTM -> Linear under the names embed, rnn, head.
inline std::shared_ptr<nn::Sequential> CharRnn(const std::string& cell, int64_t vocabulary, int64_t embed,
                                               int64_t hidden, int64_t layers, double dropout = 0) {
  auto model = std::make_shared<nn::Sequential>("CharRNN");
  model->AddChild("embed", Embedding(vocabulary, embed));
  model->AddChild("rnn", Rnn(cell, embed, hidden, layers, true, true, dropout));
  model->AddChild("head", Linear(hidden, vocabulary));
  return model;
}

}  // namespace lanthorn
