// Several data sets trained on one after the other or taking turns: what continual and specialisation experiments read.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/data/batches.h"

namespace lanthorn::data {

// One domain, gone through once or several times; each pass may have an order of its own.
struct Phase {
  int64_t domain = 0;
  std::vector<std::shared_ptr<Batches>> passes;
};

// Phases one after the other; or taking turns batch by batch within each pass, as far as the shortest goes.
class PhaseBatches final : public Batches {
 public:
  // At least one phase; all have as many passes and rows of one shape.
  PhaseBatches(std::vector<Phase> phases, bool interleaved);
  int64_t count() const override { return count_; }
  int64_t rows() const override { return phases_.front().passes.front()->rows(); }
  int64_t targets() const override { return phases_.front().passes.front()->targets(); }
  int64_t samples() const override;
  int64_t left_out() const override;
  Batch Get(int64_t index) const override;
  void SetEpoch(int64_t epoch) override;

  // The number of batches up to the end of each phase; those of interleaved phases end together.
  std::vector<int64_t> Ends() const;
  // The same for each pass of each phase.
  std::vector<std::vector<int64_t>> PassEnds() const;

  // Where a batch comes from.
  struct Place {
    size_t phase = 0, pass = 0;
    int64_t index = 0;  // within the pass
  };
  Place At(int64_t index) const;
  // Rows of a batch: the last one of a pass may have fewer.
  int64_t RowsOf(int64_t index) const;
  const std::vector<Phase>& phases() const { return phases_; }
  bool interleaved() const { return interleaved_; }

 private:
  // Batches that a pass contributes.
  int64_t Used(const Batches& pass, size_t number) const;

  std::vector<Phase> phases_;
  bool interleaved_;
  std::vector<int64_t> least_;  // batches of the shortest phase, in each pass
  int64_t count_ = 0;
};

// All of several, taking turns until each is at its end: the first so many batches are of all of them.
class JoinedBatches final : public Batches {
 public:
  explicit JoinedBatches(std::vector<std::shared_ptr<Batches>> parts);
  int64_t count() const override { return static_cast<int64_t>(order_.size()); }
  int64_t rows() const override { return parts_.front()->rows(); }
  int64_t targets() const override { return parts_.front()->targets(); }
  int64_t samples() const override;
  Batch Get(int64_t index) const override;

 private:
  std::vector<std::shared_ptr<Batches>> parts_;
  std::vector<std::pair<size_t, int64_t>> order_;  // part and its batch
};

}  // namespace lanthorn::data
