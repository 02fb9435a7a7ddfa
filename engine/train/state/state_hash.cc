#include "engine/train/state/state_hash.h"

#include <ATen/core/Tensor.h>

#include <array>
#include <cstring>
#include <functional>

namespace lanthorn::train {
namespace {

constexpr uint64_t kFactor = 0x9E3779B97F4A7C15;  // odd, so that multiplying by it loses nothing

// Four lanes, so that no product waits for the one before it.
uint64_t HashBytes(const char* bytes, size_t size, uint64_t hash) {
  std::array<uint64_t, 4> lanes = {hash, hash ^ 1, hash ^ 2, hash ^ 3};
  constexpr size_t kStride = sizeof lanes;
  size_t i = 0;
  for (; i + kStride <= size; i += kStride) {
    std::array<uint64_t, 4> words;
    std::memcpy(words.data(), bytes + i, kStride);
    for (size_t lane = 0; lane < lanes.size(); ++lane) {
      const uint64_t product = (lanes[lane] ^ words[lane]) * kFactor;
      lanes[lane] =
          product ^ (product >> 32);  // products move bits up alone: without this, two flips of the top one cancel
    }
  }
  for (const uint64_t lane : lanes) hash = (hash ^ lane ^ (lane >> 29)) * kFactor;
  for (; i < size; ++i) hash = (hash ^ static_cast<unsigned char>(bytes[i])) * kFactor;
  return hash;
}

}  // namespace

uint64_t StateHash(const std::vector<nn::NamedParameter>& tensors, uint64_t seed) {
  uint64_t hash = seed;
  for (const nn::NamedParameter& one : tensors) {
    const at::Tensor values = one.tensor.detach().to(c10::kCPU).contiguous();
    hash = (hash ^ std::hash<std::string>()(one.name)) * kFactor;
    hash = HashBytes(static_cast<const char*>(values.data_ptr()), values.nbytes(), hash);
  }
  return hash;
}

}  // namespace lanthorn::train
