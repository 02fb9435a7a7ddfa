// Batches by number: a pure function of the index, so that counts are known before training and resuming costs nothing.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "engine/base/status.h"

namespace lanthorn::data {

struct Batch {
  at::Tensor x, y;     // inputs and targets, dimension 0 is the sample
  int64_t domain = 0;  // which of several texts it comes from
};

class Batches {
 public:
  virtual ~Batches() = default;
  virtual int64_t count() const = 0;                            // batches per epoch
  virtual int64_t rows() const = 0;                             // samples per batch; the last one may have fewer
  virtual int64_t targets() const = 0;                          // targets of a batch of so many samples
  virtual int64_t samples() const { return count() * rows(); }  // in all batches of an epoch
  virtual int64_t left_out() const { return 0; }                // samples that are in no batch
  // Targets of an epoch that the loss does not leave out.
  virtual int64_t epoch_targets() const { return rows() > 0 ? samples() * (targets() / rows()) : 0; }
  virtual Batch Get(int64_t index) const = 0;
  // The same without rows of others among them, such as those of a replay.
  virtual const Batches& Own() const { return *this; }
  // Selects the epoch whose order Get follows, where the order differs between epochs.
  virtual void SetEpoch(int64_t epoch) {}
};

class NoBatches final : public Batches {
 public:
  int64_t count() const override { return 0; }
  int64_t rows() const override { return 0; }
  int64_t targets() const override { return 0; }
  Batch Get(int64_t) const override { return {}; }
};

// sha256 over the raw bytes of x and then y (int64, little-endian).
std::string HashBatch(const Batch& batch);

}  // namespace lanthorn::data
