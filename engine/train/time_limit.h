// The time a run may take (guards G09, G13): checked at step boundaries and between eval batches.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "engine/train/report/records.h"

namespace lanthorn::train {

struct TimeLimit {
  double seconds = 0;   // train.max_time; 0: none
  double started = 0;   // by Now(): where the seconds are counted from, before data and model were made
  bool accept = false;  // train.accept_eta: go on when the plan needs longer

  bool Over(double now) const { return seconds > 0 && now - started >= seconds; }
};

// Seconds in the unit that suits the larger one: "74-88 h", "3-3 min", "2.0-2.6 s".
std::string FormatRange(double low, double high);

// Stops a run whose plan needs longer than its limit even by the low end of the projection, once, when there is one:
// after 20 counted steps. Later the limit itself decides.
class BudgetGuard final : public Observer {
 public:
  explicit BudgetGuard(TimeLimit limit, std::function<double()> now = &Now) : limit_(limit), now_(std::move(now)) {}
  // A limit error that begins with "G13 budget: plan needs 74-88 h, limit 8 h".
  absl::Status OnStep(const StepRecord& record, Control* control) override;

 private:
  TimeLimit limit_;
  std::function<double()> now_;
  bool done_ = false;
};

}  // namespace lanthorn::train
