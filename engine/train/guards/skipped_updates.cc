#include "engine/train/guards/skipped_updates.h"

#include "absl/strings/str_format.h"
#include "engine/train/guards/loop_guard.h"

namespace lanthorn::train {

std::optional<SkippedUpdates::Finding> SkippedUpdates::Add(int64_t step, bool skipped) {
  window_[static_cast<size_t>(seen_++ % kWindow)] = skipped;
  in_a_row_ = skipped ? in_a_row_ + 1 : 0;
  if (!skipped) return std::nullopt;
  const int64_t of_window = static_cast<int64_t>(window_.count());
  if (seen_ >= kWindow && 2 * of_window >= kWindow) {
    return Finding{
        {absl::StrFormat("G36 skipped_updates: %d of the last %d updates were skipped at update %d, expected "
                         "fewer than half: the model hardly trains; look at what skips them (a callback's "
                         "before_update, guards.nonfinite=skip:N); to accept: guards.skipped_updates=off",
                         of_window, kWindow, step),
         step, static_cast<double>(of_window), kWindow / 2},
        /*fatal=*/true};
  }
  if (in_a_row_ != kInARow + 1) return std::nullopt;
  return Finding{{absl::StrFormat("G36 skipped_updates: %d updates in a row were skipped up to update %d; look at what "
                                  "skips them (a callback's before_update, guards.nonfinite=skip:N)",
                                  in_a_row_, step),
                  step, static_cast<double>(in_a_row_), static_cast<double>(kInARow)}};
}

namespace {

class SkippedUpdatesGuard final : public LoopGuard {
 public:
  std::optional<Finding> AfterUpdate(const StepRecord& record) override {
    const auto found = skipped_.Add(record.step, record.skipped);
    if (!found) return std::nullopt;
    return Finding{found->warning, found->fatal ? Does::kStop : Does::kWarn};
  }

 private:
  SkippedUpdates skipped_;
};

const RegisterLoopGuard guard({"G36", "skipped_updates", GuardLevel::kError, ExitCode::kNumerics,
                               [](const auto&) { return std::make_unique<SkippedUpdatesGuard>(); }});

}  // namespace
}  // namespace lanthorn::train
