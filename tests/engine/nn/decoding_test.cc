// Models that read a sequence piece by piece: the same bits as all at once, and what refuses.
#include "engine/nn/decoding.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "engine/kernels/linear/packed_weights.h"
#include "tests/engine/nn/make_layers.h"

namespace lanthorn {
namespace {

using nn::Decoding, nn::State;

constexpr int64_t kVocab = 19, kWidth = 12, kLength = 11;

ModulePtr Decoder(bool causal, bool norm_first, const char* activation, const char* norm) {
  at::manual_seed(11);
  auto net = std::make_shared<nn::Sequential>();
  net->AddChild("embed", Embedding(kVocab, kWidth));
  net->AddChild("positions", PositionalEmbedding(kLength, kWidth));
  for (const char* name : {"0", "1"}) {
    net->AddChild(name, EncoderLayer(kWidth, 3, 20,
                                     {.dropout = 0.1,
                                      .activation = activation,
                                      .norm = norm,
                                      .norm_first = norm_first,
                                      .causal = causal,
                                      .norm_affine = std::string(norm) == "layer"}));
  }
  net->AddChild("norm", LayerNorm(kWidth));
  net->AddChild("head", Linear(kWidth, kVocab));
  net->Train(false);
  return net;
}

TEST(Decoding, PiecesGiveTheBitsOfTheWhole) {
  const at::NoGradGuard no_grad;
  const kernels::PackedWeights packed;
  for (const bool norm_first : {false, true}) {
    for (const char* activation : {"gelu", "gelu_tanh", "relu2", "swiglu"}) {
      for (const char* norm : {"layer", "rms"}) {
        const auto net = Decoder(true, norm_first, activation, norm);
        ASSERT_TRUE(net->Decodes());
        const at::Tensor ids = at::randint(kVocab, {3, kLength}, c10::kLong);
        const at::Tensor whole = net->Forward(ids, nullptr);
        Decoding decoding(kLength);
        for (const auto& [from, until] : {std::pair{0, 4}, {4, 5}, {5, 6}, {6, 9}, {9, 11}}) {
          const at::Tensor piece = net->Forward(ids.narrow(1, from, until - from), nullptr);
          decoding.Advance(until - from);
          EXPECT_TRUE(at::equal(piece, whole.narrow(1, from, until - from)))
              << norm_first << " " << activation << " " << norm << " " << from;
        }
      }
    }
  }
}

TEST(Decoding, InDoubleTheSameNumbers) {
  const at::NoGradGuard no_grad;
  const auto net = Decoder(true, true, "gelu", "layer");
  net->To(c10::Device(c10::DeviceType::CPU), c10::kDouble);
  const at::Tensor ids = at::randint(kVocab, {2, 7}, c10::kLong), whole = net->Forward(ids, nullptr);
  Decoding decoding;
  for (int64_t t = 0; t < 7; ++t) {
    EXPECT_TRUE(at::allclose(net->Forward(ids.narrow(1, t, 1), nullptr), whole.narrow(1, t, 1), 1e-10, 1e-12));
    decoding.Advance(1);
  }
}

TEST(Decoding, OnlyModelsThatTreatPositionsApartOrKeepThemDecode) {
  EXPECT_FALSE(Decoder(false, true, "gelu", "layer")->Decodes());
  const auto training = Decoder(true, true, "gelu", "layer");
  training->Train(true);
  EXPECT_FALSE(training->Decodes());
  EXPECT_TRUE(Rnn("GRU", 3, 4)->Decodes());
  EXPECT_TRUE(MakeLayer("ReLU", {})->Decodes());
  EXPECT_FALSE(MakeLayer("Softmax", {int64_t{1}})->Decodes());
  EXPECT_FALSE(Tree({2}, 8, 2, 16)->Decodes());
  const auto scripted = Decoder(true, true, "gelu", "layer");
  scripted->SetScriptedForward([](const at::Tensor& input, State*) { return input; });
  EXPECT_FALSE(scripted->Decodes());
}

TEST(Decoding, ALayerThatIsCalledTwiceIsAnError) {
  const at::NoGradGuard no_grad;
  Decoding decoding;
  const auto layer = MultiheadAttention(4, 2, /*causal=*/true);
  layer->Train(false);
  layer->Forward(at::randn({1, 2, 4}), nullptr);
  EXPECT_THROW(layer->Forward(at::randn({1, 2, 4}), nullptr), c10::Error);
}

TEST(Decoding, PositionsBeyondTheLastAreRefused) {
  const at::NoGradGuard no_grad;
  const auto net = Decoder(true, true, "gelu", "layer");
  Decoding decoding;
  net->Forward(at::zeros({1, kLength}, c10::kLong), nullptr);
  decoding.Advance(kLength);
  EXPECT_THROW(net->Forward(at::zeros({1, 1}, c10::kLong), nullptr), c10::Error);
}

}  // namespace
}  // namespace lanthorn
