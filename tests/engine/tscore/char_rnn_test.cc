// The whole character model, whose first layer reads its embedding as a table when the vocabulary is small, in float32
// against N backward passes in float64, over random shapes. LANTHORN_TEST_SEED=<n> repeats another draw.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "absl/strings/str_format.h"
#include "engine/kernels/recurrent/recurrent.h"
#include "tests/engine/nn/make_layers.h"
#include "tests/engine/tscore/sample_loop.h"

namespace lanthorn::tscore {
namespace {

constexpr int kShapes = 200;

TEST(CharRnnTScore, FloatIsNBackwardsInDoubleOverRandomShapes) {
  const char* given = std::getenv("LANTHORN_TEST_SEED");
  std::mt19937_64 engine(given != nullptr ? std::strtoull(given, nullptr, 10) : 1);
  const auto draw = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine() % static_cast<uint64_t>(high - low + 1));
  };
  int folded = 0, gathered = 0;
  for (int i = 0; i < kShapes; ++i) {
    const int64_t N = draw(2, 9), T = draw(1, 30), V = draw(2, 40), embed = draw(1, 40), hidden = draw(1, 70);
    const int64_t layers = draw(1, 4);
    const std::string cell = draw(0, 1) == 0 ? "GRU" : "LSTM";
    SCOPED_TRACE(absl::StrFormat("shape %d: %s N=%d T=%d V=%d embed=%d hidden=%d layers=%d", i, cell, N, T, V, embed,
                                 hidden, layers));
    at::manual_seed(static_cast<uint64_t>(i));
    const auto model = CharRnn(cell, V, embed, hidden, layers);
    const at::Tensor ids = at::randint(V, {N, T}, c10::kLong), targets = at::randint(V, {N, T}, c10::kLong);
    ++(kernels::FoldsTable(ids, model->Child("embed")->Own("weight")) ? folded : gathered);
    const SampleLoss loss = [&](int64_t first, int64_t count) {
      const at::Tensor logits = model->Forward(ids.narrow(0, first, count), nullptr);
      const at::Tensor mean =
          at::cross_entropy_loss(logits.reshape({-1, V}), targets.narrow(0, first, count).reshape({-1}));
      return mean * count;  // of each sample's own mean
    };
    const auto exact = ExactScore(*model, N, loss);
    ASSERT_TRUE(exact.ok()) << exact.status();
    model->To(c10::kCPU, c10::kDouble);
    const Score loop = LoopScore(*model, N, loss);
    for (int64_t n = 0; n < N; ++n) {
      const double norm = std::sqrt(loop.sample_sq[n]);
      EXPECT_NEAR(std::sqrt(exact->sample_sq[n]), norm, 1e-4 * norm) << "sample " << n;
    }
    ASSERT_TRUE(exact->t && loop.t);
    EXPECT_NEAR(*exact->t, *loop.t, 1e-5);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(folded, kShapes / 4);
  EXPECT_GT(gathered, kShapes / 10);
}

}  // namespace
}  // namespace lanthorn::tscore
