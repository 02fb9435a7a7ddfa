#include "engine/train/guards/memory_growth.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "engine/base/memory/memory.h"
#include "engine/train/guards/loop_guard.h"

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

namespace {

// Whether the counting allocator sees the training's tensors.
bool IsCounted(const std::vector<nn::NamedParameter>& parameters) {
  return memory::Allocations() > 0 && !parameters.empty() && parameters[0].tensor.device().is_cpu();
}

// Looks once, after the first update that moved something.
class MemoryFloorGuard final : public LoopGuard {
 public:
  explicit MemoryFloorGuard(const LoopGuardContext& context)
      : peak_bytes_(context.options.peak_bytes), parameters_(context.parameters), optimizer_(context.optimizer) {}

  std::optional<Finding> AfterUpdate(const StepRecord& record) override {
    if (done_ || record.skipped || !(IsCounted(parameters_) || peak_bytes_)) return std::nullopt;
    done_ = true;
    const int64_t peak = peak_bytes_ ? peak_bytes_() : memory::TensorPeakBytes();
    const auto found = BelowMemoryFloor(record.step, peak, MemoryFloor(parameters_, optimizer_));
    return found ? std::optional(Finding{*found}) : std::nullopt;
  }

 private:
  std::function<int64_t()> peak_bytes_;
  const std::vector<nn::NamedParameter>& parameters_;
  const optim::Optimizer& optimizer_;
  bool done_ = false;
};

class MemoryGrowthGuard final : public LoopGuard {
 public:
  explicit MemoryGrowthGuard(const LoopGuardContext& context)
      : limit_(static_cast<int64_t>(context.options.memory_limit_mb * 1e6)), parameters_(context.parameters) {}

  std::optional<Finding> AfterUpdate(const StepRecord& record) override {
    if (record.step % MemoryGrowth::kSampleEvery != 0 || !IsCounted(parameters_)) return std::nullopt;
    const auto found =
        growth_.Add(record.step, record.steps - record.step,
                    {{{"tensors", memory::TensorBytes(), limit_ > 0 ? limit_ : memory::Limit()},
                      {"the process", memory::ResidentBytes(), limit_ > 0 ? limit_ : memory::MachineBytes()}}});
    if (!found) return std::nullopt;
    return Finding{found->warning, found->fatal ? Does::kSaveAndLeave : Does::kWarn};
  }

 private:
  int64_t limit_;
  const std::vector<nn::NamedParameter>& parameters_;
  MemoryGrowth growth_;
};

const RegisterLoopGuard floor_guard({"G04", "memory_floor", GuardLevel::kError, ExitCode::kMachine,
                                     [](const auto& context) { return std::make_unique<MemoryFloorGuard>(context); }});
const RegisterLoopGuard growth_guard({"G31", "memory_growth", GuardLevel::kError, ExitCode::kLimit,
                                      [](const auto& context) {
                                        return std::make_unique<MemoryGrowthGuard>(context);
                                      }});

}  // namespace
}  // namespace lanthorn::train
