#include "engine/train/report/running_quantile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace lanthorn::train {
namespace {

// The definition: sort, and interpolate around (n - 1) share.
double Sorted(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double at = share * static_cast<double>(values.size() - 1);
  const double low = values[static_cast<size_t>(std::floor(at))], high = values[static_cast<size_t>(std::ceil(at))];
  return low + (at - std::floor(at)) * (high - low);
}

TEST(RunningQuantile, IsAfterEveryValueWhatSortingGives) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  const std::vector<std::function<double(int)>> streams = {
      [&](int) { return normal(random); },
      [&](int) { return static_cast<double>(random() % 5); },  // ties
      [](int i) { return i; },                                 // rising
      [](int i) { return -i; },                                // falling
      [](int) { return 3.0; },
      [&](int i) { return i < 150 ? 100 + normal(random) : normal(random); },  // the second half lies below the first
  };
  for (size_t s = 0; s < streams.size(); ++s) {
    for (const double share : {0.0, 0.1, 0.25, 0.5, 0.9, 1.0}) {
      RunningQuantile quantile(share);
      std::vector<double> values;
      for (int i = 0; i < 300; ++i) {
        values.push_back(streams[s](i));
        quantile.Add(values.back());
        ASSERT_DOUBLE_EQ(*quantile.Value(), Sorted(values, share))
            << "stream " << s << " share " << share << " i " << i;
      }
      EXPECT_DOUBLE_EQ(Quantile(values, share), Sorted(values, share));
    }
  }
}

TEST(RunningQuantile, OfNothingIsNoValue) { EXPECT_FALSE(RunningQuantile(0.5).Value()); }

}  // namespace
}  // namespace lanthorn::train
