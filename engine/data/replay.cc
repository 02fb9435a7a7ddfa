#include "engine/data/replay.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "absl/strings/str_format.h"
#include "engine/base/random_stream.h"

namespace lanthorn::data {
namespace {

// Streams of random numbers by purpose.
enum Purpose : uint32_t { kShares = 1, kDraws = 2, kReservoir = 3 };

std::mt19937_64 Generator(int64_t seed, Purpose purpose, int64_t epoch, int64_t number) {
  return RandomStream({static_cast<uint64_t>(seed), static_cast<uint64_t>(purpose), static_cast<uint64_t>(epoch),
                       static_cast<uint64_t>(number)});
}

// The first `few` of a random order of 0 .. all-1.
std::vector<int64_t> FirstOfOrder(int64_t all, int64_t few, std::mt19937_64 generator) {
  std::vector<int64_t> order(static_cast<size_t>(all));
  std::iota(order.begin(), order.end(), int64_t{0});
  few = std::min(few, all);
  for (int64_t i = 0; i < few; ++i) {
    const auto other = static_cast<int64_t>(generator() % static_cast<uint64_t>(all - i));
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i + other)]);
  }
  order.resize(static_cast<size_t>(few));
  return order;
}

}  // namespace

absl::StatusOr<std::shared_ptr<ReplayBatches>> ReplayBatches::Make(std::shared_ptr<PhaseBatches> train,
                                                                   const ReplayOptions& options) {
  if (options.memory < 0)
    return ConfigError(absl::StrFormat("replay: memory is %d rows, expected 0 or more", options.memory));
  if (train->interleaved())
    return ConfigError("replay: phases that take turns have nothing earlier to replay; use interleaved=false");
  return std::shared_ptr<ReplayBatches>(new ReplayBatches(std::move(train), options));
}

void ReplayBatches::SetEpoch(int64_t epoch) {
  train_->SetEpoch(epoch);
  if (epoch == epoch_) return;
  epoch_ = epoch;
  kept_.clear();
  loaded_.clear();
  filled_ = 0;
  seen_ = 0;
  phases_kept_ = 0;
}

size_t ReplayBatches::PhaseOf(int64_t index) const {
  return static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
}

// Each phase has an order of its own, of which it keeps the beginning: what is kept later was kept before.
void ReplayBatches::KeepShares(size_t phases) const {
  if (phases == phases_kept_) return;
  phases_kept_ = phases;
  kept_.clear();
  for (size_t phase = 0; phase < phases; ++phase) {
    const auto all = static_cast<int64_t>(phases), number = static_cast<int64_t>(phase);
    const int64_t share = options_.memory / all + (number < options_.memory % all ? 1 : 0);
    const Batches& first = *train_->phases()[phase].passes.front();
    const int64_t begin = phase == 0 ? 0 : ends_[phase - 1];
    for (const int64_t row : FirstOfOrder(first.samples(), share, Generator(options_.seed, kShares, epoch_, number))) {
      kept_.push_back({begin + row / first.rows(), row % first.rows()});
    }
  }
  loaded_.assign(kept_.size(), {});
}

void ReplayBatches::FillReservoir(int64_t index) const {
  if (index < filled_) {
    kept_.clear();
    loaded_.clear();
    filled_ = 0;
    seen_ = 0;
  }
  for (; filled_ < index; ++filled_) {
    std::mt19937_64 generator = Generator(options_.seed, kReservoir, epoch_, filled_);
    const int64_t rows = train_->RowsOf(filled_);
    for (int64_t row = 0; row < rows; ++row) {
      ++seen_;
      if (static_cast<int64_t>(kept_.size()) < options_.memory) {
        kept_.push_back({filled_, row});
        loaded_.emplace_back();
      } else if (const uint64_t place = generator() % seen_; place < kept_.size()) {
        kept_[place] = {filled_, row};
        loaded_[place] = {};
      }
    }
  }
}

const std::vector<ReplayBatches::Row>& ReplayBatches::KeptAt(int64_t index) const {
  if (options_.kind == "reservoir") {
    FillReservoir(index);
  } else {
    KeepShares(PhaseOf(index));
  }
  return kept_;
}

std::vector<int64_t> ReplayBatches::Draw(int64_t index, int64_t rows) const {
  return FirstOfOrder(static_cast<int64_t>(kept_.size()), rows, Generator(options_.seed, kDraws, epoch_, index));
}

void ReplayBatches::Load(const std::vector<int64_t>& places, std::vector<at::Tensor>* x,
                         std::vector<at::Tensor>* y) const {
  std::map<int64_t, std::vector<size_t>> missing;  // by batch
  for (const int64_t place : places) {
    if (!loaded_[static_cast<size_t>(place)].x.defined())
      missing[kept_[static_cast<size_t>(place)].batch].push_back(static_cast<size_t>(place));
  }
  for (const auto& [batch, wanted] : missing) {
    const Batch whole = train_->Get(batch);
    for (const size_t place : wanted) {  // copies, so that the batch can go
      const int64_t row = kept_[place].row;
      loaded_[place] = {whole.x.narrow(0, row, 1).clone(), whole.y.narrow(0, row, 1).clone(), whole.domain};
    }
  }
  for (const int64_t place : places) {
    x->push_back(loaded_[static_cast<size_t>(place)].x);
    y->push_back(loaded_[static_cast<size_t>(place)].y);
  }
}

Batch ReplayBatches::Get(int64_t index) const {
  const Batch batch = train_->Get(index);
  if (options_.memory == 0 || KeptAt(index).empty()) return batch;
  const int64_t rows = batch.x.size(0), wanted = options_.in_place ? rows / 2 : rows;
  const std::vector<int64_t> places = Draw(index, wanted);
  const int64_t own = options_.in_place ? rows - static_cast<int64_t>(places.size()) : rows;
  std::vector<at::Tensor> x = {batch.x.narrow(0, 0, own)}, y = {batch.y.narrow(0, 0, own)};
  Load(places, &x, &y);
  return {at::cat(x), at::cat(y), batch.domain};
}

}  // namespace lanthorn::data
