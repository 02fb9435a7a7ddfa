// Windows of a token sequence as batches: window i has the tokens from i * stride on, its targets are the tokens one
// later. As streams the sequence is cut into B parts of M = floor(L / (B S)) windows each, which lie end to end; batch
// c has window c of each part, and there are M - 1 batches.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/data/batches.h"
#include "engine/data/text/token_ids.h"
#include "engine/data/window_order.h"

namespace lanthorn::data {

struct WindowOptions {
  int64_t batch = 64, seq = 64, stride = 32;
  WindowOrder order = WindowOrder::kRandom;
  int64_t batches = 0;     // an epoch, but for kFixed; 0: as many as hold each window once
  bool drop_last = false;  // kEpoch: leave out the windows that do not fill a last batch
  int64_t seed = 0;
  int64_t domain = 0;  // of every batch
};

// How many windows a sequence of `length` tokens has; of streams those that are in batches.
int64_t CountWindows(int64_t length, const WindowOptions& options);

class WindowBatches final : public Batches {
 public:
  WindowBatches(TokenIds ids, WindowOptions options);
  int64_t count() const override { return count_; }
  int64_t rows() const override {
    return options_.order == WindowOrder::kRandom ? options_.batch : std::min(options_.batch, windows_);
  }
  int64_t targets() const override { return rows() * options_.seq; }
  int64_t samples() const override {
    return options_.order == WindowOrder::kRandom ? count_ * options_.batch
                                                  : std::min(windows_, count_ * options_.batch);
  }
  int64_t left_out() const override {
    return options_.order == WindowOrder::kEpoch && options_.drop_last ? windows_ % options_.batch : 0;
  }
  // A function of index, epoch and seed.
  Batch Get(int64_t index) const override;
  void SetEpoch(int64_t epoch) override;
  int64_t windows() const { return windows_; }

 private:
  // Where a window begins.
  int64_t StartOf(int64_t window) const;

  TokenIds ids_;
  WindowOptions options_;
  int64_t windows_, count_, epoch_ = 0;
  std::vector<uint32_t> order_;
};

}  // namespace lanthorn::data
