#include "engine/train/guards/precision_check.h"

#include <gtest/gtest.h>

#include "engine/kernels/gemm/matmul_primitive.h"
#include "engine/kernels/linear/pairs.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

using kernels::Precision;

constexpr Precision kEmulatedBf16 = {Precision::kBf16, true}, kEmulatedSplit = {Precision::kFp32Split, true};
const c10::Device kCpu(c10::DeviceType::CPU);

TEST(TrainingPrecision, ModelsWithARecurrentLayerMayLowerIt) {
  for (const char* cell : {"GRU", "LSTM"}) {
    const auto model = CharRnn(cell, kVocabulary, 8, 12, 1);
    EXPECT_TRUE(CheckTrainingPrecision(*model, {}, kCpu).ok());
    EXPECT_TRUE(CheckTrainingPrecision(*model, kEmulatedBf16, kCpu).ok());
    EXPECT_TRUE(CheckTrainingPrecision(*model, kEmulatedSplit, kCpu).ok());
  }
}

TEST(TrainingPrecision, AModelThatComputesInNoneOfItRefusesIt) {
  const auto linear = MakeLayer("Linear", {2, 3, true});
  EXPECT_TRUE(CheckTrainingPrecision(*linear, {}, kCpu).ok());
  ExpectStatus(CheckTrainingPrecision(*linear, kEmulatedBf16, kCpu), ExitCode::kConfig,
               {"train.precision='bf16': no layer of this model computes in it (GRU and LSTM do, transformer blocks in "
                "'bf16'); remove it or use 'fp32'"});
}

TEST(TrainingPrecision, ATransformerBlockLowersToBf16Alone) {
  const auto block = EncoderLayer(8, 2, 16, {});
  EXPECT_TRUE(CheckTrainingPrecision(*block, kEmulatedBf16, kCpu).ok());
  ExpectStatus(CheckTrainingPrecision(*block, kEmulatedSplit, kCpu), ExitCode::kConfig,
               {"train.precision='fp32_split': no layer of this model computes in it"});
  const absl::Status native = CheckTrainingPrecision(*block, {kernels::Precision::kBf16, false}, kCpu);
  EXPECT_EQ(native.ok(), kernels::CheckPairs().ok());
}

TEST(TrainingPrecision, OtherTypesAndDevicesAreNamed) {
  const auto model = CharRnn("GRU", kVocabulary, 8, 12, 1);
  ExpectStatus(CheckTrainingPrecision(*model, kEmulatedSplit, c10::Device(c10::DeviceType::CUDA, 0)), ExitCode::kConfig,
               {"train.precision='fp32_split': only the CPU computes in it, training is on cuda:0"});
  model->To(kCpu, c10::kDouble);
  EXPECT_TRUE(CheckTrainingPrecision(*model, {}, kCpu).ok());
  ExpectStatus(CheckTrainingPrecision(*model, kEmulatedSplit, kCpu), ExitCode::kConfig,
               {"parameter 'embed.weight' is float64", "model:to('float32')"});
}

TEST(TrainingPrecision, EmulationNeedsALowerPrecision) {
  const auto model = CharRnn("GRU", kVocabulary, 8, 12, 1);
  ExpectStatus(CheckTrainingPrecision(*model, {Precision::kFp32, true}, kCpu), ExitCode::kConfig,
               {"train.emulate=true: there is nothing to emulate in train.precision='fp32'"});
}

TEST(TrainingPrecision, ACpuWithoutBf16IsAMachineErrorAndOneThatHasItIsNot) {
  const auto model = CharRnn("GRU", kVocabulary, 8, 12, 1);
  for (const Precision::Kind kind : {Precision::kBf16, Precision::kFp32Split}) {
    if (kernels::MatmulPrimitive::Supported(kernels::MatmulPrimitive::Type::bf16)) {
      EXPECT_TRUE(CheckTrainingPrecision(*model, {kind, false}, kCpu).ok()) << kernels::PrecisionName(kind);
      continue;
    }
    ExpectStatus(CheckTrainingPrecision(*model, {kind, false}, kCpu), ExitCode::kMachine,
                 {kernels::PrecisionName(kind), "needs bf16 products", "train.emulate=true"});
  }
}

// The precision of each loss that the trainer asks for.
struct Watched {
  explicit Watched(FitOptions options) : tiny({.options = std::move(options)}) {
    tiny.loss = [this, inner = tiny.loss](const data::Batch& batch) {
      kinds.push_back(kernels::CurrentPrecision().kind);
      return inner(batch);
    };
    tiny.notes->on_step = [this](const StepRecord&, Control*) {
      outside.push_back(kernels::CurrentPrecision().kind);
      return absl::OkStatus();
    };
  }
  bool All(Precision::Kind kind) {
    return !kinds.empty() && std::all_of(kinds.begin(), kinds.end(), [kind](auto k) { return k == kind; });
  }
  Tiny tiny;
  std::vector<Precision::Kind> kinds, outside;
};

TEST(TrainingPrecision, EveryLossOfTheTrainerIsInItAndObserversAreNot) {
  for (const bool loop : {false, true}) {
    Watched watched({.train = {.max_steps = 2},
                     .tscore = {.every = 1, .mode = loop ? "loop" : "exact"},
                     .precision = kEmulatedBf16});
    Trainer& trainer = watched.tiny.Start();
    const auto only = [&](const char* what) {
      EXPECT_TRUE(watched.All(Precision::kBf16)) << what;
      watched.kinds.clear();
    };
    ASSERT_TRUE(trainer.Measure({}).ok());
    only("Measure");
    ASSERT_TRUE(trainer.Run().ok());
    only("Run");
    EXPECT_EQ(watched.outside, (std::vector<Precision::Kind>(2, Precision::kFp32)));
    ASSERT_TRUE(trainer.Evaluate().ok());
    only("Evaluate");
    ASSERT_TRUE(trainer.ProbeTScore(1).ok());
    only("ProbeTScore");
    EXPECT_EQ(kernels::CurrentPrecision().kind, Precision::kFp32);
  }
}

TEST(TrainingPrecision, Bf16TrainsOnItsOwnCurveAndSplitOnThatOfFp32) {
  const auto run = [](const Precision& precision) {
    Tiny tiny({.options = {.train = {.epochs = 3, .max_steps = 30}, .tscore = {.every = 1}, .precision = precision}});
    EXPECT_TRUE(tiny.Start().Run().ok());
    return tiny.notes;
  };
  const auto exact = run({}), low = run(kEmulatedBf16), split = run(kEmulatedSplit);
  for (size_t i = 0; i < exact->steps.size(); ++i) {
    EXPECT_NE(low->steps[i].loss, exact->steps[i].loss);
    EXPECT_NEAR(low->steps[i].loss, exact->steps[i].loss, 0.05);
    EXPECT_NEAR(split->steps[i].loss, exact->steps[i].loss, 1e-3);
    EXPECT_NEAR(*split->steps[i].score->t, *exact->steps[i].score->t, 1e-3);
  }
  EXPECT_LT(low->steps.back().loss, 0.9 * low->steps[0].loss);
}

}  // namespace
}  // namespace lanthorn::train
