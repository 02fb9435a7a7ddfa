// Squared norms against a loop over float64 values, and that nothing depends on the number of threads.
#include "engine/base/square_sum.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace lanthorn {
namespace {

// Kahan's compensated sum, in an order of its own.
double Oracle(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.detach().to(c10::kDouble).contiguous().flatten();
  double sum = 0, lost = 0;
  for (int64_t i = wide.numel(); i-- > 0;) {
    const double x = wide.data_ptr<double>()[i], y = x * x - lost, t = sum + y;
    lost = (t - sum) - y;
    sum = t;
  }
  return sum;
}

std::vector<at::Tensor> Odd() {
  at::manual_seed(4);
  std::vector<at::Tensor> tensors;
  for (int64_t size : {0, 1, 3, 7, 8, 9, 31, 1000, 16383, 16384, 16385, 50000, 200001})
    tensors.push_back(at::randn({size}));
  tensors.push_back(at::Tensor());
  tensors.push_back(at::randn({33, 57}).t());           // not contiguous
  tensors.push_back(at::randn({5, 1}).expand({5, 4}));  // overlapping
  tensors.push_back(at::randn({129}, c10::kDouble));
  tensors.push_back(at::randn({40}).to(c10::kBFloat16));
  tensors.push_back(at::randn({64, 3}).slice(0, 5, 30));  // contiguous at an odd address
  return tensors;
}

TEST(SquareSum, EqualsALoopForOddSizesLayoutsAndDtypes) {
  const std::vector<at::Tensor> tensors = Odd();
  const std::vector<double> sums = SquareSums(tensors);
  double whole = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const double expected = tensors[i].defined() ? Oracle(tensors[i]) : 0;
    EXPECT_NEAR(sums[i], expected, 1e-13 * expected) << "tensor " << i;
    whole += expected;
  }
  EXPECT_NEAR(SquareSum(tensors), whole, 1e-13 * whole);
  EXPECT_EQ(SquareSum({}), 0);
}

TEST(SquareSum, HasTheSameBitsOnAnyNumberOfThreads) {
  const std::vector<at::Tensor> tensors = Odd();
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const std::vector<double> one = SquareSums(tensors);
  for (int threads = 2; threads <= 5; ++threads) {
    at::set_num_threads(threads);
    const std::vector<double> many = SquareSums(tensors);
    EXPECT_EQ(std::memcmp(one.data(), many.data(), one.size() * sizeof(double)), 0) << threads << " threads";
  }
  at::set_num_threads(before);
}

TEST(SquareSum, NonfiniteValuesComeOutWhereverTheyStand) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const int64_t at : {0, 5, 16384, 16390}) {
      const at::Tensor tensor = at::ones({16391});
      tensor[at] = bad;
      const double sum = SquareSum({at::ones({3}), tensor});
      EXPECT_EQ(std::isnan(sum), std::isnan(bad)) << at;
      EXPECT_FALSE(std::isfinite(sum)) << at;
    }
  }
}

TEST(SquareSum, SquaresThatOverflowOrUnderflowFloatAreExact) {
  EXPECT_NEAR(SquareSum({at::full({100}, 1e30f)}), 100 * std::pow(static_cast<double>(1e30f), 2), 1e48);
  EXPECT_NEAR(SquareSum({at::full({100}, 1e-30f)}), 100 * std::pow(static_cast<double>(1e-30f), 2), 1e-72);
}

}  // namespace
}  // namespace lanthorn
