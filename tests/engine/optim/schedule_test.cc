#include "engine/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace lanthorn::optim {
namespace {

TEST(Schedule, ConstantIsOne) {
  const Schedule schedule;
  for (int64_t step : {0, 1, 1000000}) EXPECT_EQ(schedule.Factor(step), 1);
}

TEST(Schedule, WarmupRisesLinearlyToOneInEverySchedule) {
  for (const char* name : {"constant", "step", "cosine", "linear"}) {
    const Schedule schedule = {.name = name, .warmup = 4, .total = 20, .every = 5};
    ASSERT_TRUE(schedule.Validate().ok()) << name;
    for (int64_t step = 0; step < 4; ++step)
      EXPECT_DOUBLE_EQ(schedule.Factor(step), static_cast<double>(step + 1) / 4) << name;
    EXPECT_DOUBLE_EQ(schedule.Factor(4), 1) << name;
  }
}

TEST(Schedule, StepMultipliesByGamma) {
  const Schedule schedule = {.name = "step", .warmup = 2, .every = 3, .gamma = 0.5};
  for (int64_t step = 2; step < 20; ++step) EXPECT_DOUBLE_EQ(schedule.Factor(step), std::pow(0.5, (step - 2) / 3));
}

TEST(Schedule, CosineAndLinearEndAtTheMinimumAndStayThere) {
  for (const char* name : {"cosine", "linear"}) {
    const Schedule schedule = {.name = name, .warmup = 10, .total = 110, .min_factor = 0.1};
    for (int64_t step = 10; step < 110; ++step) {
      const double progress = static_cast<double>(step - 10) / 100;
      const double shape =
          name == std::string("cosine") ? (1 + std::cos(std::numbers::pi * progress)) / 2 : 1 - progress;
      EXPECT_NEAR(schedule.Factor(step), 0.1 + 0.9 * shape, 1e-12) << name << " " << step;
    }
    for (int64_t step : {110, 111, 100000}) EXPECT_NEAR(schedule.Factor(step), 0.1, 1e-12) << name;
  }
}

TEST(Schedule, CosineAndLinearBeginToFallAfterTheHold) {
  for (const char* name : {"cosine", "linear"}) {
    const Schedule held = {.name = name, .warmup = 3, .hold = 60, .total = 100, .min_factor = 0.1};
    const Schedule plain = {.name = name, .total = 40, .min_factor = 0.1};
    ASSERT_TRUE(held.Validate().ok()) << name;
    EXPECT_DOUBLE_EQ(held.Factor(1), 2.0 / 3) << name;
    for (int64_t step = 3; step < 60; ++step) EXPECT_EQ(held.Factor(step), 1) << name;
    for (int64_t step = 60; step < 110; ++step) EXPECT_DOUBLE_EQ(held.Factor(step), plain.Factor(step - 60)) << name;
  }
}

TEST(Schedule, ImpossibleValuesAreConfigErrorsThatSayWhy) {
  const auto expect = [](const Schedule& schedule, const char* words) {
    const absl::Status status = schedule.Validate();
    EXPECT_EQ(ExitCodeOf(status), ExitCode::kConfig);
    EXPECT_NE(MessageOf(status).find(words), std::string::npos) << status;
  };
  expect({.name = "cosin"}, "'cosin' is not known; use constant, step, cosine or linear");
  expect({.warmup = -1}, "warmup must not be negative, got -1");
  expect({.name = "step"}, "'step' needs decay_every >= 1, got 0");
  expect({.name = "cosine", .warmup = 10, .total = 10}, "warmup of 10 leaves none of the 10 updates");
  expect({.name = "linear"}, "'linear'");
  expect({.name = "cosine", .warmup = 2, .hold = 30, .total = 30}, "hold of 30 leaves none of the 30 updates");
  expect({.hold = 3}, "'constant' does not fall");
  expect({.name = "cosine", .hold = -1, .total = 9}, "hold must not be negative, got -1");
  expect({.min_factor = 1.5}, "min_factor must be in [0, 1]");
  expect({.min_factor = -0.1}, "min_factor must be in [0, 1]");
  for (const double gamma : {-1.0, 0.0, std::nan("")})
    expect({.name = "step", .every = 2, .gamma = gamma}, "gamma, which must be above 0");
  expect({.every = -1}, "decay_every must not be negative, got -1");
}

}  // namespace
}  // namespace lanthorn::optim
