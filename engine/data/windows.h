// Windows of a token sequence as batches: window i has the tokens from i * stride on, its targets are the tokens one
// later.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/data/batches.h"

namespace lanthorn::data {

enum class WindowOrder {
  kFixed,   // one after the other, each once; the last batch may be smaller
  kEpoch,   // each once in an order of the epoch's own; an incomplete last batch is left out
  kRandom,  // drawn evenly with replacement
};

struct WindowOptions {
  int64_t batch = 64, seq = 64, stride = 32;
  WindowOrder order = WindowOrder::kRandom;
  int64_t batches = 0;  // an epoch, but for kFixed; 0: as many as hold each window once
  uint64_t seed = 0;
  int64_t domain = 0;  // of every batch
};

// How many windows a sequence of `length` tokens has.
int64_t CountWindows(int64_t length, const WindowOptions& options);

class WindowBatches final : public Batches {
 public:
  // ids: int64 (L) on the CPU.
  WindowBatches(at::Tensor ids, WindowOptions options);
  int64_t count() const override { return count_; }
  int64_t rows() const override {
    return options_.order == WindowOrder::kFixed ? std::min(options_.batch, windows_) : options_.batch;
  }
  int64_t targets() const override { return rows() * options_.seq; }
  // A function of index, epoch and seed.
  Batch Get(int64_t index) const override;
  void SetEpoch(int64_t epoch) override;
  int64_t windows() const { return windows_; }

 private:
  at::Tensor ids_;
  WindowOptions options_;
  int64_t windows_, count_, epoch_ = 0;
  std::vector<int64_t> order_;
};

}  // namespace lanthorn::data
