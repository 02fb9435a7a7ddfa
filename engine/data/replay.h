// Rehearsal: rows of earlier phases beside the new ones. What is kept and what is drawn are functions of seed and batch
// number alone, so that a resumed training has the same rows without a state of its own.
//
//   per_task   after k phases each of them has `memory` / k rows, drawn from its own; the shares shrink as phases come
//              (Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning", ring buffers)
//   reservoir  every row seen so far is kept with the same chance (Vitter 1985, algorithm R)
#pragma once

#include <memory>
#include <vector>

#include "engine/data/phases.h"
#include "engine/data/replay_options.h"

namespace lanthorn::data {

// Batches of `train` to which min(rows, kept) kept rows are added, drawn without replacement; in place of half of its
// own with `in_place`. Without memory, and until something is kept, they are those of `train`. Not for phases that take
// turns: there is nothing earlier.
class ReplayBatches final : public Batches {
 public:
  // ConfigError for a memory below 0 and for phases that take turns.
  static absl::StatusOr<std::shared_ptr<ReplayBatches>> Make(std::shared_ptr<PhaseBatches> train,
                                                             const ReplayOptions& options);

  int64_t count() const override { return train_->count(); }
  int64_t rows() const override { return train_->rows(); }
  int64_t targets() const override { return train_->targets(); }
  int64_t samples() const override { return train_->samples(); }
  int64_t left_out() const override { return train_->left_out(); }
  Batch Get(int64_t index) const override;
  const Batches& Own() const override { return *train_; }
  void SetEpoch(int64_t epoch) override;

  // A row of the data by its batch.
  struct Row {
    int64_t batch = 0, row = 0;
    bool operator==(const Row& other) const { return batch == other.batch && row == other.row; }
  };
  // What is kept when batch `index` is made.
  const std::vector<Row>& KeptAt(int64_t index) const;

 private:
  ReplayBatches(std::shared_ptr<PhaseBatches> train, const ReplayOptions& options)
      : train_(std::move(train)), options_(options), ends_(train_->Ends()) {}
  // The phase of a batch.
  size_t PhaseOf(int64_t index) const;
  void KeepShares(size_t phases) const;
  void FillReservoir(int64_t index) const;
  // Which kept rows batch `index` takes, by their place.
  std::vector<int64_t> Draw(int64_t index, int64_t rows) const;
  // The rows themselves.
  void Load(const std::vector<int64_t>& places, std::vector<at::Tensor>* x, std::vector<at::Tensor>* y) const;

  std::shared_ptr<PhaseBatches> train_;
  ReplayOptions options_;
  std::vector<int64_t> ends_;
  int64_t epoch_ = 0;
  // What is kept now, and the rows that were loaded of it; a cache, which follows from the batch number.
  mutable std::vector<Row> kept_;
  mutable std::vector<Batch> loaded_;  // one row each; undefined until it is drawn
  mutable int64_t filled_ = 0;         // reservoir: batches that have gone in
  mutable uint64_t seen_ = 0;          // and their rows
  mutable size_t phases_kept_ = 0;     // per_task
};

}  // namespace lanthorn::data
