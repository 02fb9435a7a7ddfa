// Signals during training: a flag that the loop reads at step boundaries (conventions.md, section 8).
#pragma once

namespace lanthorn::train {

// While one lives, SIGINT, SIGTERM and SIGHUP (unless ignored) set the flag; a second SIGINT leaves at once with 130.
// The handlers of before come back at its end.
class SignalScope {
 public:
  SignalScope();
  ~SignalScope();
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;

  // The signal received since the scope began, or 0.
  static int Received();
};

}  // namespace lanthorn::train
