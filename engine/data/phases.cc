#include "engine/data/phases.h"

#include <algorithm>
#include <numeric>

namespace lanthorn::data {

PhaseBatches::PhaseBatches(std::vector<Phase> phases, bool interleaved)
    : phases_(std::move(phases)), interleaved_(interleaved) {
  TORCH_CHECK(!phases_.empty(), "[phases] at least one phase is needed");
  for (const Phase& phase : phases_) {
    TORCH_CHECK(!phase.passes.empty() && phase.passes.size() == phases_.front().passes.size(),
                "[phases] all phases must have as many passes");
  }
  for (size_t pass = 0; pass < phases_.front().passes.size(); ++pass) {
    int64_t least = phases_.front().passes[pass]->count();
    for (const Phase& phase : phases_) least = std::min(least, phase.passes[pass]->count());
    least_.push_back(least);
  }
  for (const Phase& phase : phases_) {
    for (size_t pass = 0; pass < phase.passes.size(); ++pass) count_ += Used(*phase.passes[pass], pass);
  }
}

int64_t PhaseBatches::Used(const Batches& pass, size_t number) const {
  return interleaved_ ? least_[number] : pass.count();
}

int64_t PhaseBatches::samples() const {
  int64_t all = 0;
  for (const Phase& phase : phases_) {
    for (size_t pass = 0; pass < phase.passes.size(); ++pass) {
      const Batches& one = *phase.passes[pass];
      all += std::min(one.samples(), Used(one, pass) * one.rows());
    }
  }
  return all;
}

int64_t PhaseBatches::left_out() const {
  int64_t all = -samples();
  for (const Phase& phase : phases_) {
    for (const auto& pass : phase.passes) all += pass->samples() + pass->left_out();
  }
  return all;
}

PhaseBatches::Place PhaseBatches::At(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count_, "[batches] batch ", index, " of ", count_);
  Place place;
  if (interleaved_) {
    const auto phases = static_cast<int64_t>(phases_.size());
    while (index >= least_[place.pass] * phases) index -= least_[place.pass++] * phases;
    place.phase = static_cast<size_t>(index % phases);
    place.index = index / phases;
    return place;
  }
  for (place.index = index;;) {
    const Phase& phase = phases_[place.phase];
    for (place.pass = 0; place.pass < phase.passes.size(); ++place.pass) {
      if (place.index < phase.passes[place.pass]->count()) return place;
      place.index -= phase.passes[place.pass]->count();
    }
    ++place.phase;
  }
}

int64_t PhaseBatches::RowsOf(int64_t index) const {
  const Place place = At(index);
  const Batches& pass = *phases_[place.phase].passes[place.pass];
  return std::min(pass.rows(), pass.samples() - place.index * pass.rows());
}

Batch PhaseBatches::Get(int64_t index) const {
  const Place place = At(index);
  Batch batch = phases_[place.phase].passes[place.pass]->Get(place.index);
  batch.domain = phases_[place.phase].domain;
  return batch;
}

void PhaseBatches::SetEpoch(int64_t epoch) {
  for (const Phase& phase : phases_) {
    for (const auto& pass : phase.passes) pass->SetEpoch(epoch);
  }
}

std::vector<int64_t> PhaseBatches::Ends() const {
  std::vector<int64_t> ends;
  for (const std::vector<int64_t>& passes : PassEnds()) ends.push_back(passes.back());
  return ends;
}

std::vector<std::vector<int64_t>> PhaseBatches::PassEnds() const {
  std::vector<std::vector<int64_t>> ends;
  int64_t end = 0;
  if (interleaved_) {
    ends.emplace_back();
    for (int64_t least : least_) ends.back().push_back(end += least * static_cast<int64_t>(phases_.size()));
    return ends;
  }
  for (const Phase& phase : phases_) {
    ends.emplace_back();
    for (const auto& pass : phase.passes) ends.back().push_back(end += pass->count());
  }
  return ends;
}

JoinedBatches::JoinedBatches(std::vector<std::shared_ptr<Batches>> parts) : parts_(std::move(parts)) {
  int64_t most = 0;
  for (const auto& part : parts_) most = std::max(most, part->count());
  for (int64_t index = 0; index < most; ++index) {
    for (size_t part = 0; part < parts_.size(); ++part) {
      if (index < parts_[part]->count()) order_.emplace_back(part, index);
    }
  }
}

int64_t JoinedBatches::samples() const {
  return std::accumulate(parts_.begin(), parts_.end(), int64_t{0},
                         [](int64_t sum, const auto& part) { return sum + part->samples(); });
}

Batch JoinedBatches::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count(), "[batches] batch ", index, " of ", count());
  const auto& [part, at] = order_[static_cast<size_t>(index)];
  return parts_[part]->Get(at);
}

}  // namespace lanthorn::data
