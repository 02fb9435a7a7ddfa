// What ends a training before its plan from outside: a signal, or the time limit.
#include <signal.h>

#include "absl/strings/str_format.h"
#include "engine/train/guards/step_guards.h"
#include "engine/train/report/progress.h"
#include "engine/train/signals.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {

bool Trainer::Interrupted() {
  for (const int signal : TakeSignals()) {
    for (const auto& observer : observers_) observer->OnSignal(signal, result_.steps);
  }
  if (result_.code != 0) return true;
  const std::string done = absl::StrFormat("%d of %d updates", result_.steps, planned_steps());
  const auto stop = StopRequested();
  if (stop && stretch_ != nullptr && stop->signal == SIGINT) {
    ForgetInterrupt();
    paused_ = true;
    return Interrupted();  // another signal may have come behind it
  }
  if (stop) {
    result_.state = stop->state;
    result_.code = stop->code;
    result_.signal = stop->signal;
    result_.reason = SignalName(stop->signal) + " after " + done;
    if (stop->state == "STALLED")
      result_.reason = "G11 stall: the watchdog saw no progress and asked for the end after " + done + "; see dumps/";
  } else if (options_.stop_after > 0 && result_.steps >= options_.stop_after) {
    result_.state = "PREEMPTED";
    result_.code = kPreempted;
    result_.reason = "stop_after: " + done;
  } else if (guards_ != nullptr && !guards_->limit().empty()) {
    result_.state = "FAILED";
    result_.code = static_cast<int>(ExitCode::kLimit);
    result_.reason = guards_->limit() + "; stopped after " + done;
  } else if (const double now = Now(); options_.limit.Over(now)) {
    result_.state = "TIMEOUT";
    result_.code = static_cast<int>(ExitCode::kLimit);
    result_.reason = absl::StrFormat("time limit: %s in %s (train.max_time=%g)", done,
                                     FormatSeconds(now - options_.limit.started), options_.limit.seconds);
  }
  return result_.code != 0;
}

}  // namespace lanthorn::train
