#include "engine/device/speed.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <gtest/gtest.h>

namespace lanthorn::device {
namespace {

TEST(DeviceSpeedG02, TheRateOfTheCpuIsPositiveWhetherEnoughOrNot) {
  for (const double enough : {0.0, 1e18}) {
    const auto rate = TrainingGemmRate(c10::Device(c10::kCPU), enough);
    ASSERT_TRUE(rate.ok()) << rate.status();
    EXPECT_GT(*rate, 1e6);
    EXPECT_LT(*rate, 1e15);
  }
}

TEST(DeviceSpeedG02, DrawsNothingFromTheRandomStreamOfTheTraining) {
  const at::Tensor before = at::detail::getDefaultCPUGenerator().get_state();
  ASSERT_TRUE(TrainingGemmRate(c10::Device(c10::kCPU), 1e18).ok());
  EXPECT_TRUE(at::equal(before, at::detail::getDefaultCPUGenerator().get_state()));
}

}  // namespace
}  // namespace lanthorn::device
