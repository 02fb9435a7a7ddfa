#include "engine/train/time_limit.h"

#include "absl/strings/str_format.h"
#include "engine/train/report/progress.h"

namespace lanthorn::train {
namespace {

struct Unit {
  double seconds;
  const char* name;
};

Unit UnitOf(double seconds) {
  if (seconds < 120) return {1, "s"};
  return seconds < 7200 ? Unit{60, "min"} : Unit{3600, "h"};
}

// Two digits at least: "8", "2.6".
std::string Digits(double value) { return absl::StrFormat(value < 9.95 ? "%.1f" : "%.0f", value); }

std::string FormatLimit(double seconds) {
  const Unit unit = UnitOf(seconds);
  return absl::StrFormat("%.3g %s", seconds / unit.seconds, unit.name);
}

}  // namespace

std::string FormatRange(double low, double high) {
  const Unit unit = UnitOf(high);
  return Digits(low / unit.seconds) + "-" + Digits(high / unit.seconds) + " " + unit.name;
}

absl::Status BudgetGuard::OnStep(const StepRecord& record, Control*) {
  if (done_ || limit_.seconds <= 0 || limit_.accept || !record.remaining) return absl::OkStatus();
  done_ = true;
  const double spent = now_() - limit_.started;
  const double low = spent + record.remaining->low, high = spent + record.remaining->high;
  if (low <= limit_.seconds) return absl::OkStatus();
  return Error(ExitCode::kLimit,
               absl::StrFormat("G13 budget: plan needs %s, limit %s (%d of %d updates in %s); make train.epochs or "
                               "train.max_steps smaller, or train up to the limit: --accept-eta, train.accept_eta=true",
                               FormatRange(low, high), FormatLimit(limit_.seconds), record.step, record.steps,
                               FormatSeconds(spent)));
}

}  // namespace lanthorn::train
