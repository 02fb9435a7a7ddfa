// Whether frozen parameters stay as they are, bit for bit (guard G43): momentum and weight decay move what only has
// no gradient.
#pragma once

#include <optional>
#include <vector>

#include "engine/nn/module.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

class ProtectedCheck {
 public:
  static constexpr int64_t kEvery = 100, kFirst = 20;

  // Whether update number `own_step` (1-based) of this process is looked at.
  static bool Looks(int64_t own_step) { return own_step <= kFirst || own_step % kEvery == 0; }

  // Remembers the values of the parameters with requires_grad=false.
  explicit ProtectedCheck(std::vector<nn::NamedParameter> parameters);

  // After update number `own_step`: compares if it is looked at. What
  // was thawed is let go, what was frozen meanwhile is held from then on. A value names the first that moved.
  std::optional<Warning> AfterUpdate(int64_t own_step, int64_t step);

 private:
  struct Entry {
    nn::NamedParameter parameter;
    at::Tensor before;  // undefined while it trains
  };
  std::vector<Entry> entries_;
};

// That update `step` moved `what` (optim::RestingWatch::moved) although the selection holds it back.
Warning MovedAtRest(const std::string& what, int64_t step);

}  // namespace lanthorn::train
