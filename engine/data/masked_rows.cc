#include "engine/data/masked_rows.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "engine/base/random_stream.h"
#include "engine/data/batch_shape.h"
#include "engine/data/epoch_order.h"

namespace lanthorn::data {
namespace {

constexpr int64_t kBucketBatches = 32;  // among whose rows those of one length find each other
constexpr uint64_t kMasks = 1, kBatchOrder = 2;

absl::Status Validate(const MaskedOptions& o) {
  if (o.batch < 1) return ConfigError(absl::StrFormat("data.masked: batch must be at least 1, got %d", o.batch));
  for (const auto& [name, share] : {std::pair{"text_share", o.text_share}, {"fact_share", o.fact_share}}) {
    if (share >= 0 && share < 1) continue;
    return ConfigError(absl::StrFormat("data.masked: %s must be from 0 to below 1, got %g", name, share));
  }
  if (o.text_least < 0 || o.fact_least < 0)
    return ConfigError("data.masked: text_least and fact_least must not be negative");
  return absl::OkStatus();
}

std::vector<int64_t> ToVector(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(c10::kCPU, c10::kLong).contiguous();
  return {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
}

// Adds to `chosen` a share of the candidates, and more of them where those are fewer than `least`.
void Choose(const std::vector<int64_t>& candidates, double share, int64_t least, std::mt19937_64* draw,
            std::vector<int64_t>* chosen) {
  std::vector<int64_t> others;
  int64_t have = 0;
  for (const int64_t place : candidates) {
    const double uniform = static_cast<double>((*draw)() >> 11) * 0x1p-53;
    if (uniform < share) {
      chosen->push_back(place);
      ++have;
    } else {
      others.push_back(place);
    }
  }
  for (; have < least && !others.empty(); ++have) {
    const size_t at = (*draw)() % others.size();
    chosen->push_back(others[at]);
    others[at] = others.back();
    others.pop_back();
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<MaskedRows>> MaskedRows::Make(const at::Tensor& ids, const at::Tensor& relations,
                                                             const at::Tensor& offsets, const MaskedOptions& options) {
  LANTHORN_RETURN_IF_ERROR(Validate(options));
  std::shared_ptr<MaskedRows> made(new MaskedRows(options));
  made->ids_ = ToVector(ids);
  made->relations_ = ToVector(relations);
  made->offsets_ = ToVector(offsets);
  const int64_t tokens = static_cast<int64_t>(made->ids_.size());
  if (static_cast<int64_t>(made->relations_.size()) != tokens) {
    return DataError(absl::StrFormat("data.masked: %d ids, but %d relations", tokens, made->relations_.size()));
  }
  if (made->offsets_.size() < 2) return DataError("data.masked: there is no row");
  if (made->offsets_.front() != 0 || made->offsets_.back() != tokens)
    return DataError(absl::StrFormat("data.masked: offsets must go from 0 to %d, the number of ids", tokens));
  for (int64_t row = 0; row < made->lengths(); ++row) {
    if (made->Length(row) < 1) return DataError(absl::StrFormat("data.masked: row %d is empty", row));
  }
  if (made->lengths() < options.batch) {
    return DataError(absl::StrFormat("data.masked: %d rows are fewer than one batch of %d; use a smaller batch",
                                     made->lengths(), options.batch));
  }
  made->SetEpoch(0);
  for (const int64_t row : made->order_) made->epoch_targets_ += static_cast<int64_t>(made->Masked(row).size());
  return made;
}

bool MaskedRows::Maskable(int64_t token) const {
  const auto& special = options_.special;
  return std::find(special.begin(), special.end(), token) == special.end();
}

std::vector<int64_t> MaskedRows::Masked(int64_t row) const {
  const auto key = [](int64_t part) { return static_cast<uint64_t>(part); };
  std::mt19937_64 draw = RandomStream({key(options_.seed), kMasks, key(options_.redraw ? epoch_ : 0), key(row)});
  std::vector<int64_t> text, facts, chosen;
  const int64_t first = offsets_[static_cast<size_t>(row)];
  for (int64_t t = 0; t < Length(row); ++t) {
    const size_t at = static_cast<size_t>(first + t);
    if (Maskable(ids_[at])) (relations_[at] > 0 ? facts : text).push_back(t);
  }
  Choose(text, options_.text_share, options_.text_least, &draw, &chosen);
  Choose(facts, options_.fact_share, options_.fact_least, &draw, &chosen);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

void MaskedRows::SetEpoch(int64_t epoch) {
  epoch_ = epoch;
  const uint64_t seed = static_cast<uint64_t>(options_.seed);
  order_.resize(static_cast<size_t>(lengths()));
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<int64_t>(i);
  if (options_.shuffle) {
    const std::vector<uint32_t> shuffled = EpochOrder(lengths(), seed, epoch);
    std::copy(shuffled.begin(), shuffled.end(), order_.begin());
  }
  order_.resize(static_cast<size_t>(samples()));
  if (!options_.bucket || options_.batch == 1) return;
  // Sorted within stretches of some batches, then whole batches in a new order; the last, smaller one stays last.
  const size_t batch = static_cast<size_t>(options_.batch), stretch = batch * kBucketBatches;
  for (size_t first = 0; first < order_.size(); first += stretch) {
    const auto begin = order_.begin() + static_cast<int64_t>(first);
    const auto end = order_.begin() + static_cast<int64_t>(std::min(order_.size(), first + stretch));
    std::stable_sort(begin, end, [this](int64_t a, int64_t b) { return Length(a) < Length(b); });
  }
  if (!options_.shuffle) return;
  std::mt19937_64 draw = RandomStream({seed, kBatchOrder, static_cast<uint64_t>(epoch)});
  const std::vector<int64_t> sorted = order_;
  std::vector<size_t> batches(order_.size() / batch);
  for (size_t i = 0; i < batches.size(); ++i) batches[i] = i;
  for (size_t i = batches.size(); i > 1; --i) std::swap(batches[i - 1], batches[draw() % i]);
  for (size_t i = 0; i < batches.size(); ++i)
    std::copy_n(sorted.begin() + static_cast<int64_t>(batches[i] * batch), batch,
                order_.begin() + static_cast<int64_t>(i * batch));
}

Batch MaskedRows::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count(), "[batches] batch ", index, " of ", count());
  const int64_t begin = index * options_.batch, B = std::min(options_.batch, samples() - begin);
  int64_t T = 0;
  for (int64_t b = 0; b < B; ++b) T = std::max(T, Length(order_[static_cast<size_t>(begin + b)]));
  const at::TensorOptions type(c10::kLong);
  Batch batch = {at::zeros({B, 2, T}, type), at::full({B, T}, kMaskedTarget, type)};
  for (int64_t b = 0; b < B; ++b) {
    const int64_t row = order_[static_cast<size_t>(begin + b)], first = offsets_[static_cast<size_t>(row)];
    int64_t* const ids = batch.x.data_ptr<int64_t>() + b * 2 * T;
    std::fill(ids, ids + T, options_.pad);
    std::copy_n(ids_.begin() + first, Length(row), ids);
    std::copy_n(relations_.begin() + first, Length(row), ids + T);
    for (const int64_t t : Masked(row)) {
      batch.y.data_ptr<int64_t>()[b * T + t] = ids[t];
      ids[t] = options_.mask;
    }
  }
  return batch;
}

}  // namespace lanthorn::data
