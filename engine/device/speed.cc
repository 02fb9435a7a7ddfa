#include "engine/device/speed.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <chrono>

#include "engine/device/probe.h"

namespace lanthorn::device {
namespace {

constexpr double kFirstTry_s = 0.005, kSecondTry_s = 0.15;
constexpr GemmShape kCpuShape = {256, 256, 256};
constexpr int64_t kDeviceSize = 4096;

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// The best of a few products; reading an element waits for the device.
double DeviceRate(c10::Device device) {
  const at::NoGradGuard no_grad;
  const at::Tensor a = at::full({kDeviceSize, kDeviceSize}, 0.5, at::TensorOptions(c10::kFloat).device(device));
  const auto product = [&] { return at::mm(a, a)[0][0].item<float>(); };
  (void)product();
  double best = 0;
  const double end = Now() + kSecondTry_s;
  do {
    const double begin = Now();
    (void)product();
    const double took = Now() - begin;
    best = best == 0 ? took : std::min(best, took);
  } while (Now() < end);
  return 2.0 * kDeviceSize * kDeviceSize * kDeviceSize / best;
}

}  // namespace

absl::StatusOr<double> TrainingGemmRate(c10::Device device, double enough) {
  if (!device.is_cpu()) return DeviceRate(device);
  const auto measure = [](double seconds) {
    return GemmRate(GemmLibrary::kOneDnn, GemmType::kFloat, kCpuShape, at::get_num_threads(), seconds);
  };
  LANTHORN_ASSIGN_OR_RETURN(const double first, measure(kFirstTry_s));
  if (first >= enough) return first;
  LANTHORN_ASSIGN_OR_RETURN(const double second, measure(kSecondTry_s));
  return std::max(first, second);
}

}  // namespace lanthorn::device
