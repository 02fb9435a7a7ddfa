#include "engine/train/signals.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

namespace lanthorn::train {
namespace {

constexpr std::array kHandled = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};

// What handlers touch: lock-free atomics alone.
std::atomic<int> stop_signal{0}, stop_code{0};
std::atomic<bool> save_wanted{false};
std::atomic<uint64_t> arrived{0};  // a bit for each signal
std::array<std::atomic<int>, 65> counts{};
std::atomic<int> watchdog_count{0};
std::atomic<bool> scheduled{false};

int depth = 0;  // scopes that live
std::array<struct sigaction, kHandled.size()> before;

int CodeOf(int signal, bool of_watchdog) {
  if (of_watchdog) return kStalled;
  if (signal == SIGUSR2) return kPreempted;
  return signal != SIGINT && scheduled ? kPreempted : 128 + signal;
}

void Handle(int signal, siginfo_t* info, void*) {
  const int saved_errno = errno;
  NoteSignal(signal);
  if (signal == SIGUSR1) {
    save_wanted = true;
  } else {
    const bool of_watchdog =
        signal == SIGTERM && info->si_code == SI_QUEUE && info->si_value.sival_int == kWatchdogMark;
    const int code = CodeOf(signal, of_watchdog);
    std::atomic<int>& count = of_watchdog ? watchdog_count : counts[static_cast<size_t>(signal)];
    // A requeue notice may come again while its save goes on.
    if (++count > 1 && signal != SIGUSR2) _exit(code);
    int none = 0;
    if (stop_code.compare_exchange_strong(none, code)) stop_signal = signal;
  }
  errno = saved_errno;
}

}  // namespace

SignalScope::SignalScope() {
  if (depth++ > 0) return;
  stop_signal = stop_code = watchdog_count = 0;
  save_wanted = false;
  arrived = 0;
  for (auto& count : counts) count = 0;
  const char* job = std::getenv("SLURM_JOB_ID");
  scheduled = job != nullptr && *job != '\0';
  for (size_t i = 0; i < kHandled.size(); ++i) {
    sigaction(kHandled[i], nullptr, &before[i]);
    if (kHandled[i] == SIGHUP && before[i].sa_handler == SIG_IGN) continue;
    struct sigaction action = {};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;  // a write to a checkpoint or a metrics line goes on
    if (kHandled[i] == SIGPIPE) {
      action.sa_handler = SIG_IGN;
    } else {
      action.sa_flags |= SA_SIGINFO;
      action.sa_sigaction = &Handle;
    }
    sigaction(kHandled[i], &action, nullptr);
  }
}

SignalScope::~SignalScope() {
  if (--depth > 0) return;
  for (size_t i = 0; i < kHandled.size(); ++i) sigaction(kHandled[i], &before[i], nullptr);
}

std::optional<StopSignal> StopRequested() {
  const int code = stop_code, signal = stop_signal;
  if (code == 0 || signal == 0) return std::nullopt;
  return StopSignal{signal, code == kPreempted ? "PREEMPTED" : code == kStalled ? "STALLED" : "INTERRUPTED", code};
}

void ForgetInterrupt() {
  sigset_t all, before_mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_mask);  // a handler must not come in between
  counts[SIGINT] = 0;
  stop_signal = stop_code = 0;
  for (const int signal : {SIGTERM, SIGHUP, SIGUSR2}) {
    const bool of_watchdog = signal == SIGTERM && watchdog_count > 0;
    if (stop_code != 0 || (counts[static_cast<size_t>(signal)] == 0 && !of_watchdog)) continue;
    stop_signal = signal;
    stop_code = CodeOf(signal, of_watchdog);
  }
  pthread_sigmask(SIG_SETMASK, &before_mask, nullptr);
}

bool TakeSaveRequest() { return save_wanted.exchange(false); }

void NoteSignal(int signal) { arrived |= uint64_t{1} << (signal & 63); }

std::vector<int> TakeSignals() {
  std::vector<int> found;
  const uint64_t bits = arrived.exchange(0);
  for (int signal = 1; signal < 64; ++signal) {
    if (bits >> signal & 1) found.push_back(signal);
  }
  return found;
}

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

}  // namespace lanthorn::train
