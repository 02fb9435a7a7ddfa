#include "engine/train/report/step_timer.h"

#include <gtest/gtest.h>

namespace lanthorn::train {
namespace {

void AddMany(StepTimer* timer, int count, double seconds) {
  for (int i = 0; i < count; ++i) timer->Add(seconds);
}

TEST(StepTimer, TheFirstFiveStepsDoNotCountG14) {
  StepTimer timer;
  AddMany(&timer, 5, 100);
  EXPECT_EQ(timer.counted(), 0);
  EXPECT_FALSE(timer.Median() || timer.Percentile(0.1) || timer.Remaining(10, 0));
  AddMany(&timer, 3, 2);
  EXPECT_EQ(timer.counted(), 3);
  EXPECT_EQ(*timer.Median(), 2);
}

TEST(StepTimer, TheStepAfterAnInterruptionDoesNotCount) {
  StepTimer timer;
  AddMany(&timer, 6, 1);
  timer.Interrupted();
  timer.Interrupted();  // an eval and a save: still one step
  timer.Add(50);
  timer.Add(3);
  EXPECT_EQ(timer.counted(), 2);
  EXPECT_EQ(*timer.Percentile(1), 3);
}

TEST(StepTimer, AnInterruptionDuringTheWarmUpIsOver) {
  StepTimer timer;
  timer.Interrupted();
  AddMany(&timer, 5, 9);
  timer.Add(1);
  EXPECT_EQ(timer.counted(), 1);
}

TEST(StepTimer, PercentilesInterpolateBetweenSteps) {
  StepTimer timer;
  AddMany(&timer, 5, 0);
  for (int i = 10; i >= 0; --i) timer.Add(i);  // 0 .. 10 in any order
  EXPECT_DOUBLE_EQ(*timer.Median(), 5);
  EXPECT_DOUBLE_EQ(*timer.Percentile(0), 0);
  EXPECT_DOUBLE_EQ(*timer.Percentile(0.25), 2.5);
  EXPECT_DOUBLE_EQ(*timer.Percentile(1), 10);
}

TEST(StepTimer, TheRemainingTimeNeedsABlockAndSpansTheBlocks) {
  StepTimer timer;
  AddMany(&timer, 5, 0);
  AddMany(&timer, 19, 1);
  EXPECT_FALSE(timer.Remaining(100, 0));
  timer.Add(1);
  const auto one = timer.Remaining(100, 7);
  ASSERT_TRUE(one);
  EXPECT_DOUBLE_EQ(one->low, 107);
  EXPECT_DOUBLE_EQ(one->mid, 107);
  EXPECT_DOUBLE_EQ(one->high, 107);
  for (int block = 2; block <= 11; ++block) AddMany(&timer, 20, block);  // means 1 .. 11
  const auto many = timer.Remaining(10, 3);
  EXPECT_DOUBLE_EQ(many->low, 10 * 2 + 3);
  EXPECT_DOUBLE_EQ(many->mid, 10 * 6 + 3);
  EXPECT_DOUBLE_EQ(many->high, 10 * 10 + 3);
}

// By sorting at every step this would take hours; the test would end by its time limit.
TEST(StepTimer, AStepOfALongRunCostsNoMoreThanOneOfAShortRun) {
  StepTimer timer;
  AddMany(&timer, 5, 0);
  double sum = 0;
  for (int i = 0; i < 300000; ++i) {
    timer.Add(i % 1000);
    sum += *timer.Median() + timer.Remaining(1, 0).value_or(Interval{}).mid;
  }
  EXPECT_GT(sum, 0);
  EXPECT_DOUBLE_EQ(*timer.Median(), 499.5);
  EXPECT_DOUBLE_EQ(*timer.Percentile(0.5), 499.5);
  EXPECT_DOUBLE_EQ(timer.Remaining(1, 0)->mid, 499.5);
}

TEST(StepTimer, NothingLeftTakesTheOtherTimeAlone) {
  StepTimer timer;
  AddMany(&timer, 25, 1);
  EXPECT_DOUBLE_EQ(timer.Remaining(0, 4)->high, 4);
}

}  // namespace
}  // namespace lanthorn::train
