#include "engine/train/continual/fisher.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/train/continual/ewc.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

data::Batch Rows(const data::Batch& batch, int64_t first, int64_t count) {
  return {batch.x.narrow(0, first, count), batch.y.narrow(0, first, count)};
}

absl::StatusOr<std::vector<at::Tensor>> Of(Tiny& tiny, int64_t batches, FisherOf of) {
  return Fisher(
      *tiny.model, tiny.loss, batches, [&tiny](int64_t i) { return tiny.train->Get(i); }, of);
}

// (gradient of the mean loss of these rows)^2, added to sums.
void AddSquares(Tiny& tiny, const data::Batch& batch, double weight, std::vector<at::Tensor>* sums) {
  tiny.model->ZeroGrad();
  tiny.loss(batch)->mean.backward();
  size_t p = 0;
  for (const auto& parameter : tiny.model->Parameters()) {
    const at::Tensor square = parameter.tensor.grad().square() * weight;
    if (sums->size() <= p) sums->push_back(at::zeros_like(square));
    (*sums)[p] = (*sums)[p] + square;
    ++p;
  }
  tiny.model->ZeroGrad();
}

TEST(FisherValues, OfBatchesAreTheSquaresOfTheirMeanGradients) {
  Tiny tiny;
  std::vector<at::Tensor> expected;
  for (int64_t b = 0; b < 3; ++b) AddSquares(tiny, tiny.train->Get(b), 1.0 / 3, &expected);
  const auto found = Of(tiny, 3, FisherOf::kBatch);
  ASSERT_TRUE(found.ok()) << found.status();
  for (size_t p = 0; p < expected.size(); ++p) EXPECT_TRUE(at::allclose((*found)[p], expected[p], 1e-5, 1e-12)) << p;
}

TEST(FisherValues, OfSamplesAreTheSquaresOfTheirOwnGradientsAndAddUpToQOverN) {
  Tiny tiny;
  std::vector<at::Tensor> expected;
  const data::Batch batch = tiny.train->Get(0);
  const int64_t rows = batch.x.size(0);
  for (int64_t i = 0; i < rows; ++i) AddSquares(tiny, Rows(batch, i, 1), 1.0 / static_cast<double>(rows), &expected);
  const auto found = Of(tiny, 1, FisherOf::kSample);
  ASSERT_TRUE(found.ok()) << found.status();
  double sum = 0;
  for (size_t p = 0; p < expected.size(); ++p) {
    EXPECT_TRUE(at::allclose((*found)[p], expected[p], 1e-4, 1e-10)) << p;
    sum += (*found)[p].sum().item<double>();
  }
  // T-Score's Q is of shares of the mean loss: 1 / N of the samples' own gradients.
  auto scores = tiny.Start().ProbeTScore(1);
  ASSERT_TRUE(scores.ok()) << scores.status();
  const double q = (*scores)[0].q * static_cast<double>(rows * rows);
  EXPECT_NEAR(sum, q / static_cast<double>(rows), 1e-5 * sum);
}

TEST(FisherValues, LeaveModelModesAndRandomNumbersAsTheyWere) {
  Tiny tiny({.dropout = 0.5});
  const std::vector<at::Tensor> before = tiny.Values();
  at::manual_seed(9);
  const at::Tensor next = at::randn({4});
  at::manual_seed(9);
  const auto first = Of(tiny, 2, FisherOf::kBatch), second = Of(tiny, 2, FisherOf::kBatch);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(at::equal(at::randn({4}), next));
  for (size_t p = 0; p < first->size(); ++p) EXPECT_TRUE(at::equal((*first)[p], (*second)[p]));  // no dropout
  EXPECT_TRUE(Equal(before, tiny.Values()));
  EXPECT_TRUE(tiny.model->training());
  for (const auto& parameter : tiny.model->Parameters()) EXPECT_FALSE(parameter.tensor.grad().defined());
}

TEST(FisherValues, ZeroBatchesAreAnError) {
  Tiny tiny;
  ExpectStatus(Of(tiny, 0, FisherOf::kBatch).status(), ExitCode::kData, {"none of 0 batches"});
}

// Half way through: the penalty joins, holds the weights, and a training that goes on from a checkpoint is the same.
class Anchors final : public Observer {
 public:
  Anchors(Trainer** trainer, std::shared_ptr<Ewc> ewc) : trainer_(trainer), ewc_(std::move(ewc)) {}
  absl::Status OnStep(const StepRecord& record, Control*) override {
    if (record.step != 6) return absl::OkStatus();
    LANTHORN_ASSIGN_OR_RETURN(const auto fisher, (*trainer_)->FisherOver(0, 4, FisherOf::kBatch));
    return ewc_->AddAnchor((*trainer_)->model().Parameters(), fisher).status();
  }

 private:
  Trainer** trainer_;
  std::shared_ptr<Ewc> ewc_;
};

struct Consolidated {
  Tiny tiny;
  std::shared_ptr<Ewc> ewc;
  Trainer* trainer = nullptr;

  explicit Consolidated(double strength) : tiny({.options = {.train = {.max_steps = 12}, .eval = {.off = true}}}) {
    ewc = *Ewc::Make({.strength = strength});
    trainer = &tiny.Start();
    EXPECT_TRUE(trainer->SetPenalty(ewc).ok());
    trainer->AddObserver(std::make_shared<Anchors>(&trainer, ewc));
  }
};

TEST(Consolidation, AStrengthOfZeroIsTheTrainingWithoutItBitForBit) {
  Tiny plain({.options = {.train = {.max_steps = 12}, .eval = {.off = true}}});
  ASSERT_TRUE(plain.Start().Run().ok());
  Consolidated held(0);
  ASSERT_TRUE(held.trainer->Run().ok());
  EXPECT_TRUE(Equal(plain.Values(), held.tiny.Values()));
  Consolidated strong(1e4);
  ASSERT_TRUE(strong.trainer->Run().ok());
  EXPECT_FALSE(Equal(plain.Values(), strong.tiny.Values()));
}

TEST(Consolidation, ThePenaltyIsATermOfItsOwnBesideTheLossOfTheData) {
  Consolidated held(1e4);
  ASSERT_TRUE(held.trainer->Run().ok());
  for (const StepRecord& record : held.tiny.notes->steps) {
    EXPECT_EQ(record.terms.size(), record.step > 6 ? 1u : 0u) << record.step;
    if (record.step > 7) {
      EXPECT_GT(record.terms[0].second, 0);
    }
  }
  EXPECT_EQ(held.ewc->counts().updates, 6);
}

TEST(Consolidation, ASnapshotHoldsTheAnchorsAndATrainingWithoutThemSaysSo) {
  Consolidated held(10);
  ASSERT_TRUE(held.trainer->Run().ok());
  const auto snapshot = held.trainer->Snapshot();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_FALSE(snapshot->penalty.empty());
  EXPECT_EQ(snapshot->state.at("penalty").at("tasks"), 1);
}

}  // namespace
}  // namespace lanthorn::train
