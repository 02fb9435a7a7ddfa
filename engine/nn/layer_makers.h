// Layers that other layers are made of.
#pragma once

#include <memory>

#include "engine/nn/module.h"

namespace lanthorn::nn {

std::shared_ptr<Module> MakeLinear(int64_t in, int64_t out, bool bias);
std::shared_ptr<Module> MakeLayerNorm(int64_t size, double eps, bool affine, bool bias);
std::shared_ptr<Module> MakeRmsNorm(int64_t size, double eps, bool affine);
// head_dim 0: embed_dim / num_heads. relations: how many the parameter relation_bias (2, relations) has; 0: none.
std::shared_ptr<Module> MakeMultiheadAttention(int64_t embed_dim, int64_t num_heads, int64_t head_dim, double dropout,
                                               bool bias, bool causal, int64_t relations);

}  // namespace lanthorn::nn
