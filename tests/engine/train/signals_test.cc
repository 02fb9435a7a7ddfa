#include "engine/train/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

namespace lanthorn::train {
namespace {

using testing::ExitedWithCode;

// The environment of a job of a scheduler, or of none.
class Scheduler {
 public:
  explicit Scheduler(bool present) {
    if (present) {
      setenv("SLURM_JOB_ID", "1", 1);
    } else {
      unsetenv("SLURM_JOB_ID");
    }
  }
  ~Scheduler() { unsetenv("SLURM_JOB_ID"); }
};

void SendAsWatchdog() { sigqueue(getpid(), SIGTERM, sigval{.sival_int = kWatchdogMark}); }

void ExpectStop(const std::optional<StopSignal>& stop, int signal, const std::string& state, int code) {
  ASSERT_TRUE(stop.has_value());
  EXPECT_EQ(stop->signal, signal);
  EXPECT_EQ(stop->state, state);
  EXPECT_EQ(stop->code, code);
}

TEST(Signals, AStopIsInterruptedByAPerson) {
  const Scheduler none(false);
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, {SIGTERM, 143}, {SIGHUP, 129}}) {
    const SignalScope scope;
    EXPECT_FALSE(StopRequested().has_value());
    raise(signal);
    ExpectStop(StopRequested(), signal, "INTERRUPTED", code);
    EXPECT_FALSE(TakeSaveRequest());
  }
}

TEST(Signals, AStopUnderASchedulerIsPreemptedUnlessAPersonPressedCtrlC) {
  const Scheduler slurm(true);
  for (const int signal : {SIGTERM, SIGHUP, SIGUSR2}) {
    const SignalScope scope;
    raise(signal);
    ExpectStop(StopRequested(), signal, "PREEMPTED", 75);
  }
  const SignalScope scope;
  raise(SIGINT);
  ExpectStop(StopRequested(), SIGINT, "INTERRUPTED", 130);
}

TEST(Signals, ARequeueNoticeIsPreemptedEverywhereAndMayComeAgain) {
  const Scheduler none(false);
  const SignalScope scope;
  raise(SIGUSR2);
  raise(SIGUSR2);
  ExpectStop(StopRequested(), SIGUSR2, "PREEMPTED", 75);
}

TEST(Signals, TheFirstStopDecides) {
  const Scheduler none(false);
  const SignalScope scope;
  raise(SIGUSR2);
  raise(SIGTERM);
  raise(SIGINT);
  ExpectStop(StopRequested(), SIGUSR2, "PREEMPTED", 75);
}

TEST(Signals, AnAnsweredInterruptIsForgottenAndWhatCameBehindItIsNot) {
  const Scheduler none(false);
  const SignalScope scope;
  raise(SIGINT);
  ForgetInterrupt();
  EXPECT_FALSE(StopRequested().has_value());
  raise(SIGINT);  // a first one again: a second would end the process
  raise(SIGTERM);
  ExpectStop(StopRequested(), SIGINT, "INTERRUPTED", 130);
  ForgetInterrupt();
  ExpectStop(StopRequested(), SIGTERM, "INTERRUPTED", 143);
}

TEST(Signals, ASaveIsAskedForOnceAndStopsNothing) {
  const SignalScope scope;
  raise(SIGUSR1);
  EXPECT_TRUE(TakeSaveRequest());
  EXPECT_FALSE(TakeSaveRequest());
  EXPECT_FALSE(StopRequested().has_value());
  EXPECT_EQ(TakeSignals(), std::vector<int>{SIGUSR1});
  EXPECT_TRUE(TakeSignals().empty());
}

TEST(Signals, TheWatchdogsRequestIsAStall) {
  const Scheduler none(false);
  const SignalScope scope;
  SendAsWatchdog();
  ExpectStop(StopRequested(), SIGTERM, "STALLED", 7);
}

TEST(Signals, AnIgnoredHangupStaysIgnored) {
  struct sigaction before;
  sigaction(SIGHUP, nullptr, &before);
  signal(SIGHUP, SIG_IGN);
  {
    const SignalScope scope;
    raise(SIGHUP);
    EXPECT_FALSE(StopRequested().has_value());
  }
  sigaction(SIGHUP, &before, nullptr);
}

TEST(Signals, ScopesNestAndTheOutermostPutsTheHandlersBack) {
  const Scheduler none(false);
  struct sigaction before, after;
  sigaction(SIGTERM, nullptr, &before);
  {
    const SignalScope outer;
    raise(SIGTERM);
    { const SignalScope inner; }
    ExpectStop(StopRequested(), SIGTERM, "INTERRUPTED", 143);
  }
  sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(Signals, AClosedPipeIsAnErrorOfWriteAndNoEnd) {
  const SignalScope scope;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  close(ends[1]);
}

TEST(SignalsDeathTest, TheSecondOfAKindLeavesAtOnceWithItsCode) {
  const auto twice = [](int signal) {
    const SignalScope scope;
    raise(signal);
    raise(signal);
  };
  EXPECT_EXIT(twice(SIGINT), ExitedWithCode(130), "");
  EXPECT_EXIT(twice(SIGTERM), ExitedWithCode(143), "");
  EXPECT_EXIT(twice(SIGHUP), ExitedWithCode(129), "");
  const Scheduler slurm(true);
  EXPECT_EXIT(twice(SIGTERM), ExitedWithCode(75), "");
}

TEST(SignalsDeathTest, TheWatchdogsSecondRequestLeavesWithSeven) {
  const auto twice = [] {
    const SignalScope scope;
    raise(SIGTERM);
    SendAsWatchdog();
    SendAsWatchdog();
  };
  EXPECT_EXIT(twice(), ExitedWithCode(7), "");
}

TEST(Signals, HaveTheirNames) {
  EXPECT_EQ(SignalName(SIGTERM), "SIGTERM");
  EXPECT_EQ(SignalName(63), "signal 63");
}

}  // namespace
}  // namespace lanthorn::train
