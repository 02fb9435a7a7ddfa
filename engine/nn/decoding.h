// What a model that reads a sequence piece by piece keeps of the pieces before: a scope, not an argument. Inside of it
// a forward takes the next positions alone; causal attention keeps the queries, keys and values of all before,
// positions count on. Only for models that say so (Module::Decodes), in eval mode, without gradients.
#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>

namespace lanthorn::nn {

class Module;

class Decoding {
 public:
  // `most`: positions at most, where that is known; 0: any number.
  explicit Decoding(int64_t most = 0);
  ~Decoding();
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;

  // This thread's innermost scope, or nullptr.
  static Decoding* Current();
  // Positions of the forwards before this one.
  int64_t past() const { return past_; }
  // Keeps a layer's rows (B, t, width) of this forward; gives those of all positions, (B, past + t, width), a view
  // whose samples may lie further apart. A layer that is called twice in a forward is c10::Error.
  at::Tensor Append(const Module* layer, const at::Tensor& rows);
  // Ends a forward of so many positions.
  void Advance(int64_t positions) { past_ += positions; }

 private:
  struct Kept {
    at::Tensor rows;  // (B, room, width)
    int64_t length = 0;
  };
  std::unordered_map<const Module*, Kept> kept_;
  int64_t most_, past_ = 0;
  Decoding* outer_;
};

}  // namespace lanthorn::nn
