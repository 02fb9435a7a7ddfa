// Initial values are PyTorch's, bit for bit, for the same seed and order of construction
// (tests/golden/make_pytorch_init.py).
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "engine/nn/layer.h"
#include "tests/engine/folders.h"
#include "tests/engine/nn/make_layers.h"

namespace lanthorn {
namespace {

void ExpectValues(const nn::Module& model, const nlohmann::json& golden) {
  const auto parameters = model.Parameters();
  ASSERT_EQ(parameters.size(), golden.size());
  for (const auto& parameter : parameters) {
    SCOPED_TRACE(parameter.name);
    ASSERT_TRUE(golden.contains(parameter.name));
    const auto& expected = golden[parameter.name];
    EXPECT_EQ(parameter.tensor.sizes().vec(), expected["shape"].get<std::vector<int64_t>>());
    const at::Tensor flat = parameter.tensor.detach().flatten();
    for (size_t i = 0; i < expected["at"].size(); ++i) {
      EXPECT_EQ(flat[expected["at"][i].get<int64_t>()].item<float>(), expected["values"][i].get<float>())
          << "at " << expected["at"][i];
    }
    EXPECT_NEAR(flat.to(c10::kDouble).sum().item<double>(), expected["sum"].get<double>(), 1e-8);
  }
}

TEST(InitialValues, OfCharacterModelsArePyTorchs) {
  const nlohmann::json golden = Golden("pytorch_init.json");
  for (const char* cell : {"GRU", "LSTM"}) {
    SCOPED_TRACE(cell);
    at::manual_seed(42);
    ExpectValues(*CharRnn(cell, 65, 128, 256, 2), golden[cell]);
  }
}

TEST(InitialValues, OfSingleLayersArePyTorchs) {
  at::manual_seed(42);
  nn::Container model("Parts");
  model.AddChild("norm", LayerNorm(12));
  model.AddChild("wide", Linear(12, 7));
  model.AddChild("bare", Linear(7, 5, /*bias=*/false));
  model.AddChild("odd", Linear(3, 300));
  model.AddChild("padded", Embedding(9, 4, /*padding_idx=*/2));
  ExpectValues(model, Golden("pytorch_init.json")["parts"]);
}

TEST(InitialValues, OfTransformerLayersArePyTorchs) {
  at::manual_seed(42);
  nn::Container model("Transformer");
  model.AddChild("attention", MultiheadAttention(12, 3, /*causal=*/false));
  model.AddChild("bare", MultiheadAttention(6, 2, /*causal=*/false, /*bias=*/false));
  model.AddChild("block", EncoderLayer(16, 4, 40, {.dropout = 0.1}));
  ExpectValues(model, Golden("pytorch_init.json")["transformer"]);
}

TEST(InitialValues, OfConvolutionsNormsAndTheirKinAreTorchs) {
  using Sizes = std::vector<int64_t>;
  const auto conv = [](const char* name, int64_t in, int64_t out, const Sizes& kernel, const Sizes& stride,
                       const Sizes& padding, int64_t groups, bool bias) {
    return MakeLayer(name,
                     {in, out, kernel, stride, padding, Sizes(kernel.size(), 1), groups, bias, std::string("zeros")});
  };
  const auto up = [](const char* name, int64_t in, int64_t out, const Sizes& kernel, const Sizes& stride,
                     int64_t groups) {
    const Sizes zeros(kernel.size(), 0);
    return MakeLayer(
        name, {in, out, kernel, stride, zeros, zeros, groups, true, Sizes(kernel.size(), 1), std::string("zeros")});
  };
  at::manual_seed(42);
  nn::Container model("Layers");
  model.AddChild("conv1", conv("Conv1d", 4, 6, {3}, {2}, {0}, 2, true));
  model.AddChild("conv2", conv("Conv2d", 3, 5, {3, 2}, {1, 1}, {1, 1}, 1, false));
  model.AddChild("conv3", conv("Conv2d", 5, 7, {3, 3}, {1, 1}, {nn::kSamePadding, nn::kSamePadding}, 1, true));
  model.AddChild("up1", up("ConvTranspose1d", 4, 6, {4}, {1}, 2));
  model.AddChild("up2", up("ConvTranspose2d", 7, 3, {2, 2}, {2, 2}, 1));
  model.AddChild("norm1", MakeLayer("BatchNorm1d", {int64_t{4}, 1e-5, 0.1, true, true}));
  model.AddChild("norm2", MakeLayer("BatchNorm2d", {int64_t{5}, 1e-5, 0.1, true, true}));
  model.AddChild("group", MakeLayer("GroupNorm", {int64_t{2}, int64_t{6}, 1e-5, true}));
  model.AddChild("pair", MakeLayer("Bilinear", {int64_t{3}, int64_t{4}, int64_t{5}, true}));
  model.AddChild("bare", MakeLayer("Bilinear", {int64_t{4}, int64_t{2}, int64_t{3}, false}));
  model.AddChild("bag", MakeLayer("EmbeddingBag", {int64_t{9}, int64_t{4}, std::string("mean"), false, int64_t{2}}));
  model.AddChild("slope", MakeLayer("PReLU", {int64_t{3}, 0.25}));
  ExpectValues(model, Golden("pytorch_init.json")["layers"]);
}

TEST(InitialValues, GiveAnUntrainedLossNearLnV) {
  at::manual_seed(42);
  const auto model = CharRnn("GRU", 65, 128, 256, 2);
  const at::NoGradGuard no_grad;
  const at::Tensor logits = model->Forward(at::randint(65, {8, 40}, c10::kLong), nullptr);
  EXPECT_NEAR(at::cross_entropy_loss(logits.reshape({-1, 65}), at::randint(65, {320}, c10::kLong)).item<double>(),
              4.174, 0.04);
}

}  // namespace
}  // namespace lanthorn
