#include "engine/run/process/progress_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "engine/base/files/files.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using Phase = ProgressFile::Phase;

class ProgressFileTest : public testing::Test {
 protected:
  std::unique_ptr<ProgressFile> Create() { return *ProgressFile::Create(path_); }
  // A word as another process reads it: README.md's layout.
  uint64_t Word(size_t index) {
    const std::string bytes = *ReadFile(path_);
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + 8 * index, sizeof value);
    return value;
  }
  static void Wait(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

  TemporaryFolder folder_;
  std::string path_ = folder_ / ".progress";
};

TEST_F(ProgressFileTest, HoldsWhoWritesAndTheLastStep) {
  const auto file = Create();
  EXPECT_EQ(ReadFile(path_)->substr(0, 8), "LLPROG01");
  EXPECT_EQ(ReadFile(path_)->size(), 96u);
  EXPECT_EQ(Word(1), static_cast<uint64_t>(getpid()));
  file->Enter(Phase::kTrain);
  file->Step(41);
  file->Step(42);
  EXPECT_EQ(Word(2), 3u);
  EXPECT_EQ(Word(3), static_cast<uint64_t>(Phase::kTrain));
  EXPECT_EQ(Word(4), 42u);
  EXPECT_EQ(Word(11), 2u);
  EXPECT_GT(Word(7), 0u);
}

TEST_F(ProgressFileTest, APartOfAPhaseIsProgressAndGoesWithThePhase) {
  const auto file = Create();
  file->Enter(Phase::kEval);
  file->Part(12, 340);
  EXPECT_EQ(Word(5), 12u);
  EXPECT_EQ(Word(6), 340u);
  const uint64_t count = Word(2);
  file->Tick();
  EXPECT_EQ(Word(2), count + 1);
  file->Enter(Phase::kTrain);
  EXPECT_EQ(Word(5), 0u);
}

TEST_F(ProgressFileTest, TheSlowestStepIsForgottenAfterFifty) {
  const auto file = Create();
  file->Enter(Phase::kTrain);
  Wait(300);
  file->Step(1);
  EXPECT_GE(Word(8), 300'000'000u);
  for (int64_t step = 2; step <= 50; ++step) file->Step(step);
  EXPECT_GE(Word(8), 300'000'000u);
  file->Step(51);
  EXPECT_LT(Word(8), 300'000'000u);
}

TEST_F(ProgressFileTest, ATickCutsTheTimeOfAStepInTwo) {
  const auto file = Create();
  file->Enter(Phase::kTrain);
  Wait(20);
  file->Tick();
  file->Step(1);
  EXPECT_GE(Word(8), 20'000'000u);
}

TEST_F(ProgressFileTest, EvalsAndSavesKeepTheirOwnSlowestTimeAndAreNoSteps) {
  const auto file = Create();
  file->Enter(Phase::kTrain);
  file->Step(1);
  file->Enter(Phase::kEval);
  Wait(20);
  file->Part(1, 2);
  file->Enter(Phase::kSave);
  Wait(10);
  file->Enter(Phase::kTrain);
  EXPECT_GE(Word(9), 20'000'000u);
  EXPECT_GE(Word(10), 10'000'000u);
}

TEST_F(ProgressFileTest, ASecondAttemptBeginsAnew) {
  const auto first = Create();
  first->Step(7);
  const auto second = Create();
  EXPECT_EQ(Word(4), 0u);
  first->Step(8);  // still mapped, by now nobody's file
  EXPECT_EQ(Word(4), 0u);
}

TEST_F(ProgressFileTest, PhasesHaveTheNamesOfTheStatus) {
  EXPECT_EQ(ProgressFile::PhaseOf("load"), Phase::kLoad);
  EXPECT_EQ(ProgressFile::PhaseOf("report"), Phase::kReport);
  EXPECT_EQ(ProgressFile::PhaseOf("done"), Phase::kDone);
}

TEST_F(ProgressFileTest, AnUnwritablePlaceIsAMachineError) {
  EXPECT_EQ(ExitCodeOf(ProgressFile::Create("/dev/null/x").status()), ExitCode::kMachine);
}

}  // namespace
}  // namespace lanthorn
