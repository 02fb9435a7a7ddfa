#include "engine/data/batch_shape.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/kernels/loss/linear_cross_entropy.h"

namespace lanthorn::data {
namespace {

static_assert(kMaskedTarget == kernels::kIgnoredTarget, "what the loss leaves out is what is counted as masked");

// A collation that drops the last item of every batch of 8.
class DropsOne final : public Batches {
 public:
  int64_t count() const override { return 3; }
  int64_t rows() const override { return 8; }
  int64_t targets() const override { return 8 * 5; }
  Batch Get(int64_t) const override { return {at::zeros({7, 5}, c10::kLong), at::zeros({7, 5}, c10::kLong)}; }
};

std::string MessageFor(const Batch& batch, int64_t asked) {
  const absl::Status status = CheckBatchShape(ShapeOf(batch, asked));
  EXPECT_TRUE(status.ok() || ExitCodeOf(status) == ExitCode::kData) << status;
  return MessageOf(status);
}

TEST(BatchShapeG21, StopsWhenOneOfEightItemsWasDropped) {
  const DropsOne batches;
  const std::string message = MessageFor(batches.Get(0), batches.rows());
  EXPECT_NE(message.find("G21 batch_shape: the first batch has 7 items, expected 8"), std::string::npos) << message;
}

TEST(BatchShapeG21, CountsPaddingAndMaskedTargetsApart) {
  // Two samples of five: one masked within, both padded at the end.
  const at::Tensor y = at::tensor({1, -100, 3, -100, -100, 1, 2, 3, 4, -100}, c10::kLong).view({2, 5});
  const BatchShape shape = ShapeOf({y, y}, 2);
  EXPECT_EQ(shape.items, 2);
  EXPECT_EQ(shape.longest, 4);
  EXPECT_EQ(shape.width, 5);
  EXPECT_EQ(shape.targets, 10);
  EXPECT_EQ(shape.masked, 4);
  EXPECT_EQ(shape.padding, 3);
  EXPECT_EQ(MessageFor({y, y}, 2), "");
}

TEST(BatchShapeG21, StopsWhenEveryTargetIsMasked) {
  const at::Tensor y = at::full({2, 5}, kMaskedTarget, c10::kLong);
  EXPECT_NE(MessageFor({y, y}, 2).find("all 10 targets"), std::string::npos);
}

TEST(BatchShapeG21, TargetsThatAreNumbersHaveNoMask) {
  const at::Tensor y = at::full({4, 1}, -100.0);
  EXPECT_EQ(ShapeOf({y, y}, 4).masked, 0);
  EXPECT_EQ(MessageFor({y, y}, 4), "");
}

}  // namespace
}  // namespace lanthorn::data
