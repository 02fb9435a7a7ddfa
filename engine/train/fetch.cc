#include "engine/train/fetch.h"

#include <algorithm>

#include "engine/train/report/phase_clock.h"

namespace lanthorn::train {

data::Batch Fetch(const data::Batches& batches, int64_t index, c10::Device device, PhaseSeconds* phases) {
  data::Batch batch;
  {
    const PhaseClock clock(phases, Phase::kData);
    batch = batches.Get(index);
  }
  if (device.is_cpu()) return batch;
  const PhaseClock clock(phases, Phase::kTransfer);
  return {batch.x.to(device), batch.y.to(device), batch.domain};
}

std::vector<data::Batch> FetchUpdate(const data::Batches& batches, int64_t index, int64_t count, c10::Device device,
                                     PhaseSeconds* phases) {
  std::vector<data::Batch> fetched;
  for (const int64_t end = std::min(index + count, batches.count()); index < end; ++index)
    fetched.push_back(Fetch(batches, index, device, phases));
  return fetched;
}

}  // namespace lanthorn::train
