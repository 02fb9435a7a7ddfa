// Signals during a run: flags that the loop reads at step boundaries.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lanthorn::train {

// Exit codes of a run that is to be started again, and of one that hangs.
inline constexpr int kPreempted = 75, kStalled = 7;

// The value that the watchdog sends with its SIGTERM (sigqueue), so that the process knows who asks.
inline constexpr int kWatchdogMark = 0x47313121;

// While one lives, signals act as follows; scopes may be nested, the outermost installs and restores the handlers.
//   SIGINT                    asks to stop (130); the second leaves at once with 130
//   SIGTERM, SIGHUP           ask to stop: preempted (75) under a scheduler (SLURM_JOB_ID is set), else interrupted
//   (143,
//                             129); the second of the same kind leaves at once with the same code. A SIGHUP that was
//                             ignored before (nohup) stays ignored
//   SIGTERM of the watchdog   asks to stop: stalled (7); the second leaves at once with 7
//   SIGUSR1                   asks for a save
//   SIGUSR2                   asks to save and stop: preempted (75)
//   SIGPIPE                   is ignored
// SIGCONT needs nothing: a running process ignores it by default.
class SignalScope {
 public:
  SignalScope();
  ~SignalScope();
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;
};

// What the first stop signal of the scope asks for.
struct StopSignal {
  int signal = 0;
  std::string state;  // INTERRUPTED, PREEMPTED or STALLED
  int code = 0;       // exit code
};
// Nothing when no stop was asked for; the answer stays the same until the outermost scope ends.
std::optional<StopSignal> StopRequested();

// A SIGINT is answered: the next one is a first one again. What another signal asked for meanwhile stays.
void ForgetInterrupt();

// True once after each time a save was asked for (SIGUSR1); a request to stop does not count as one.
bool TakeSaveRequest();

// Signals that arrived since the last call, in no order, each once; SIGQUIT of engine/run/process/stack_dump included.
std::vector<int> TakeSignals();
// Notes a signal for TakeSignals; safe in a handler.
void NoteSignal(int signal);

// "SIGTERM"; "signal 99" for one without a name here.
std::string SignalName(int signal);

}  // namespace lanthorn::train
