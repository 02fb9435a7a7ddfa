#include "engine/train/guards/alive_check.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <limits>

namespace lanthorn::train {
namespace {

class Alive : public testing::Test {
 protected:
  Alive() {
    for (const char* name : {"first", "second"}) parameters_.push_back({name, at::ones({3}).set_requires_grad(true)});
  }
  void SetGradient(int64_t which, double value) {
    parameters_[static_cast<size_t>(which)].tensor.mutable_grad() = at::full({3}, value);
  }
  void Move(int64_t which) {
    const at::NoGradGuard no_grad;
    parameters_[static_cast<size_t>(which)].tensor.add_(0.5);
  }
  void ExpectDead(const absl::Status& status, const std::vector<std::string>& words) {
    EXPECT_EQ(ExitCodeOf(status), ExitCode::kNumerics) << status;
    for (const std::string& word : words)
      EXPECT_NE(MessageOf(status).find(word), std::string::npos) << word << " in " << status;
  }
  std::vector<nn::NamedParameter> parameters_;
};

TEST_F(Alive, IsDoneWhenEveryParameterHadAGradientAndMoved) {
  AliveCheck check(parameters_);
  SetGradient(0, 1), SetGradient(1, 0);
  Move(0);
  EXPECT_TRUE(check.AfterUpdate(1, false).ok());
  EXPECT_FALSE(check.done());
  SetGradient(1, 1);
  Move(1);
  EXPECT_TRUE(check.AfterUpdate(2, false).ok());
  EXPECT_TRUE(check.done());
}

TEST_F(Alive, AParameterWithoutGradientIsNamedAfterTheFirstUpdate) {
  AliveCheck check(parameters_);
  SetGradient(0, 1);
  ExpectDead(check.AfterUpdate(1, false), {"G30", "no gradient reaches second"});
}

TEST_F(Alive, AZeroGradientIsDeadAtTheTenthUpdate) {
  AliveCheck check(parameters_);
  SetGradient(0, 1), SetGradient(1, 0);
  for (int64_t step = 1; step < AliveCheck::kUpdates; ++step) {
    Move(0), Move(1);  // as weight decay would
    EXPECT_TRUE(check.AfterUpdate(step, false).ok()) << step;
  }
  const absl::Status status = check.AfterUpdate(AliveCheck::kUpdates, false);
  ExpectDead(status, {"after 10 updates", "second (gradient zero or not finite)"});
  EXPECT_EQ(MessageOf(status).find("first"), std::string::npos) << status;
}

TEST_F(Alive, AGradientThatIsNeverFiniteIsDead) {
  AliveCheck check(parameters_);
  SetGradient(0, 1), SetGradient(1, std::numeric_limits<double>::quiet_NaN());
  Move(0), Move(1);
  ExpectDead(check.AfterUpdate(AliveCheck::kUpdates, false), {"second (gradient zero or not finite)"});
}

TEST_F(Alive, AParameterThatDoesNotMoveIsDead) {
  AliveCheck check(parameters_);
  SetGradient(0, 1), SetGradient(1, 1);
  Move(0);
  ExpectDead(check.AfterUpdate(AliveCheck::kUpdates, false), {"second (did not move)", "learning rate 0"});
}

TEST_F(Alive, AShortTrainingIsJudgedAtItsEnd) {
  AliveCheck check(parameters_);
  SetGradient(0, 1), SetGradient(1, 1);
  ExpectDead(check.AfterUpdate(3, /*last=*/true), {"after 3 updates", "first (did not move)", "second (did not move)"});
}

TEST_F(Alive, FrozenParametersAreNotAsked) {
  parameters_[1].tensor.set_requires_grad(false);
  AliveCheck check(parameters_);
  SetGradient(0, 1);
  Move(0);
  EXPECT_TRUE(check.AfterUpdate(1, true).ok());
  EXPECT_TRUE(check.done());
}

TEST_F(Alive, DevicesAreComparedG01) {
  SetGradient(0, 1);
  EXPECT_TRUE(CheckDevices(parameters_, c10::Device(c10::kCPU)).ok());
  const absl::Status status = CheckDevices(parameters_, c10::Device(c10::kCUDA, 0));
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kMachine);
  for (const char* words : {"G01", "'first' is on cpu", "cuda:0"})
    EXPECT_NE(MessageOf(status).find(words), std::string::npos) << status;
}

}  // namespace
}  // namespace lanthorn::train
