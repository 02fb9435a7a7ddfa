#include "engine/device/probe.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <dnnl.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>

namespace lanthorn::device {
namespace {

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Sets OpenMP's thread count for its life.
class Threads {
 public:
  explicit Threads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
  ~Threads() { omp_set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

// Seconds of the fastest call within about `budget` seconds; the first call warms up and does not count.
template <typename Call>
double Fastest(double budget, Call call) {
  call();
  double best = 0;
  const double end = Now() + budget;
  do {
    const double begin = Now();
    call();
    const double took = Now() - begin;
    if (best == 0 || took < best) best = took;
  } while (Now() < end);
  return best;
}

// The largest cache of CPU 0, "32768K"; 0 when sysfs has none.
int64_t LastLevelCache() {
  int64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size");
    int64_t size = 0;
    char unit = 0;
    if (!(file >> size)) continue;
    file >> unit;
    largest = std::max(largest, size * (unit == 'M' ? 1 << 20 : unit == 'K' ? 1 << 10 : 1));
  }
  return largest;
}

absl::Status CheckProbe(int threads, double seconds) {
  if (threads < 1) return Error(ExitCode::kUsage, absl::StrCat("probe: threads must be at least 1, got ", threads));
  if (!(seconds >= 0))
    return Error(ExitCode::kUsage, absl::StrCat("probe: seconds must not be negative, got ", seconds));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<double> GemmRate(GemmLibrary library, GemmType type, const GemmShape& shape, int threads,
                                double seconds) {
  LANTHORN_RETURN_IF_ERROR(CheckProbe(threads, seconds));
  const auto [m, k, n] = shape;
  if (m < 1 || k < 1 || n < 1) return Error(ExitCode::kUsage, "probe: a matrix product needs sizes of at least 1");
  if (library == GemmLibrary::kOneDnn && type != GemmType::kFloat)
    return Error(ExitCode::kUsage, "probe: dnnl_sgemm multiplies float32 only; bfloat16 goes through at::mm");
  const at::NoGradGuard no_grad;
  const Threads scope(threads);
  const auto options = at::TensorOptions(type == GemmType::kFloat ? c10::kFloat : c10::kBFloat16);
  // Not random: a training that is measured first must draw what it draws otherwise.
  const at::Tensor a = at::full({m, k}, 0.5, options), b = at::full({k, n}, 0.25, options);
  at::Tensor c = at::empty({m, n}, options);
  bool failed = false;
  const double best = Fastest(seconds, [&, m = m, k = k, n = n] {
    if (library == GemmLibrary::kLibTorch) {
      at::mm_out(c, a, b);
    } else {
      failed |= dnnl_sgemm('N', 'N', m, n, k, 1.0f, a.data_ptr<float>(), k, b.data_ptr<float>(), n, 0.0f,
                           c.data_ptr<float>(), n) != dnnl_success;
    }
  });
  if (failed) return MachineError("probe: dnnl_sgemm refused a plain float32 product");
  return 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n) / best;
}

absl::StatusOr<Bandwidth> MemoryBandwidth(int threads, double seconds) {
  LANTHORN_RETURN_IF_ERROR(CheckProbe(threads, seconds));
  Bandwidth result;
  result.cache_bytes = LastLevelCache();
  const int64_t free_bytes = static_cast<int64_t>(sysconf(_SC_AVPHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const int64_t wanted = std::max<int64_t>(4 * result.cache_bytes, 64 << 20);
  result.buffer_bytes = std::max<int64_t>(std::min({wanted, int64_t{512} << 20, free_bytes / 8}), 1 << 20);
  const int64_t count = result.buffer_bytes / static_cast<int64_t>(sizeof(float));
  // Not from LibTorch: the arrays are touched first by the threads that use them, which decides their memory node.
  const std::unique_ptr<float[]> a(new float[count]), b(new float[count]), c(new float[count]);
  float *x = a.get(), *y = b.get(), *z = c.get();
  const Threads scope(threads);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < count; ++i) x[i] = 1, y[i] = 2, z[i] = 3;
  const double bytes = static_cast<double>(count * static_cast<int64_t>(sizeof(float)));
  result.copy = 2 * bytes / Fastest(seconds, [=] {
#pragma omp parallel for simd schedule(static)
                  for (int64_t i = 0; i < count; ++i) y[i] = x[i];
                });
  result.triad = 3 * bytes / Fastest(seconds, [=] {
#pragma omp parallel for simd schedule(static)
                   for (int64_t i = 0; i < count; ++i) x[i] = y[i] + 3.0f * z[i];
                 });
  return result;
}

}  // namespace lanthorn::device
