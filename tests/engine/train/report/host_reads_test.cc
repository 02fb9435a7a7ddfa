// How often an update reads values from its device.
#include "engine/train/report/host_reads.h"

#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

TEST(HostReads, CountsReadsOfValuesWhileItIsActive) {
  const at::Tensor one = at::ones({});
  {
    const HostReadScope reads(true);
    (void)one.item<double>();
    (void)(one + 1).item<float>();
    EXPECT_EQ(reads.Count().values, 2);
    EXPECT_EQ(reads.Count().syncs, 0) << "what is in the host's memory needs no wait";
  }
  (void)one.item<double>();
  const HostReadScope idle(false), again(true);
  EXPECT_FALSE(idle.active());
  EXPECT_EQ(again.Count().values, 0);
}

TEST(HostReads, ATrainingTellsWhatItsUpdatesReadAndWhatItsOptimizerDoes) {
  Tiny tiny({.options = {.train = {.epochs = 3, .max_steps = HostReadMeans::kLast}}});
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->steps, HostReadMeans::kLast);
  EXPECT_EQ(result->reads.updates(), 3);
  EXPECT_GE(result->reads.values(), 1) << "the loss";
  EXPECT_EQ(result->reads.syncs(), 0);
  EXPECT_EQ(result->reads.optimizer_values(), 0);
}

TEST(HostReads, AShortTrainingHasNoNumbers) {
  Tiny tiny({.options = {.train = {.max_steps = 5}}});
  const auto result = tiny.Start().Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->reads.updates(), 0);
}

}  // namespace
}  // namespace lanthorn::train
