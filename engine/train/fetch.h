// Batches on the device of a training.
#pragma once

#include <vector>

#include "engine/data/batches.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

// Batch number `index`; the time goes to the phases data and transfer.
data::Batch Fetch(const data::Batches& batches, int64_t index, c10::Device device, PhaseSeconds* phases);

// The batches of one update, at most `count` of them, from this 0-based one on.
std::vector<data::Batch> FetchUpdate(const data::Batches& batches, int64_t index, int64_t count, c10::Device device,
                                     PhaseSeconds* phases);

}  // namespace lanthorn::train
