#include "engine/train/guards/memory_growth.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace lanthorn::train {
namespace {

double Mb(double bytes) { return bytes / 1e6; }

}  // namespace

int64_t MemoryFloor(const std::vector<nn::NamedParameter>& parameters, const optim::Optimizer& optimizer) {
  int64_t bytes = 0;
  const auto add = [&](const at::Tensor& tensor) {
    if (tensor.defined()) bytes += static_cast<int64_t>(tensor.nbytes());
  };
  for (const auto& parameter : parameters) add(parameter.tensor), add(parameter.tensor.grad());
  for (const auto& slot : optimizer.StateTensors()) add(slot.tensor);
  return bytes;
}

std::optional<Warning> BelowMemoryFloor(int64_t step, int64_t peak, int64_t floor) {
  if (peak >= floor) return std::nullopt;
  return Warning{
      absl::StrFormat("G04 memory_floor: the peak of %.1f MB is below the %.1f MB of weights, gradients and "
                      "optimiser state: does the model run on another device? to accept: guards.memory_floor=off",
                      Mb(static_cast<double>(peak)), Mb(static_cast<double>(floor))),
      step, static_cast<double>(peak), static_cast<double>(floor)};
}

std::optional<MemoryGrowth::Finding> MemoryGrowth::Add(int64_t step, int64_t remaining,
                                                       const std::array<Sample, 2>& samples) {
  constexpr size_t kBlocks = 4;
  constexpr int64_t kPerBlock = kBlock / kSampleEvery;
  const bool first = seen_++ % kPerBlock == 0, whole = seen_ % kPerBlock == 0;
  std::optional<Finding> found;
  for (size_t i = 0; i < samples.size(); ++i) {
    least_[i] = first ? samples[i].bytes : std::min(least_[i], samples[i].bytes);
    if (!whole || seen_ == kPerBlock) continue;  // the first block is warm-up
    std::deque<int64_t>& blocks = blocks_[i];
    blocks.push_back(least_[i]);
    if (blocks.size() > kBlocks) blocks.pop_front();
    if (blocks.size() < kBlocks || found) continue;
    double slope = 0;
    bool steady = true;
    for (size_t k = 1; k < kBlocks; ++k) {
      const double rise = static_cast<double>(blocks[k] - blocks[k - 1]) / static_cast<double>(kBlock);
      steady = steady && rise > kSlope;
      slope += rise / static_cast<double>(kBlocks - 1);
    }
    if (!steady) continue;
    const double end = static_cast<double>(samples[i].bytes) + slope * static_cast<double>(remaining);
    const bool fatal = end > static_cast<double>(samples[i].limit);
    if (!fatal && step < quiet_until_) continue;
    quiet_until_ = 2 * step;
    found =
        Finding{{absl::StrFormat("G31 memory_growth: memory of %s grows by %.1f MB an update (%.0f MB at update %d, "
                                 "about %.0f MB at the end, limit %.0f MB), expected less than 1 MB; does something "
                                 "keep tensors of every update? to accept: guards.memory_growth=off",
                                 samples[i].name, Mb(slope), Mb(static_cast<double>(samples[i].bytes)), step, Mb(end),
                                 Mb(static_cast<double>(samples[i].limit))),
                 step, slope, kSlope},
                fatal};
  }
  return found;
}

}  // namespace lanthorn::train
