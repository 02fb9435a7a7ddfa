// Counts updates that were skipped, and says when there are too many (guard G36).
#pragma once

#include <bitset>
#include <optional>

#include "engine/train/report/records.h"

namespace lanthorn::train {

class SkippedUpdates {
 public:
  static constexpr int64_t kWindow = 100, kInARow = 10;

  // After update number `step` of the run. A value when more than 10 in a row were skipped, once each time (`fatal`
  // false), or half or more of the last 100 (`fatal`), which is asked from the hundredth on that this process made.
  struct Finding {
    Warning warning;
    bool fatal = false;
  };
  std::optional<Finding> Add(int64_t step, bool skipped);

 private:
  std::bitset<kWindow> window_;
  int64_t seen_ = 0, in_a_row_ = 0;
};

}  // namespace lanthorn::train
