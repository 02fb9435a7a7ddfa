// Replicas with rows of their own give the loss and the gradient of the whole batch.
#include "engine/train/replicas.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/engine/nn/make_layers.h"

namespace lanthorn::train {
namespace {

std::shared_ptr<nn::Module> Net() {
  at::manual_seed(2);
  auto net = std::make_shared<nn::Sequential>();
  net->AddChild("embed", Embedding(13, 8));
  net->AddChild("positions", PositionalEmbedding(6, 8));
  net->AddChild("block",
                EncoderLayer(8, 2, 16, {.activation = "relu2", .norm = "rms", .norm_first = true, .causal = true}));
  net->AddChild("head", Linear(8, 13));
  return net;
}

TEST(Replicas, LossAndGradientAreThoseOfOne) {
  const auto net = Net();
  const data::Batch batch = {at::randint(13, {8, 6}, c10::kLong), at::randint(13, {8, 6}, c10::kLong)};
  const int threads = at::get_num_threads();
  const auto one = ReplicaGradients(net, batch, 1);
  ASSERT_TRUE(one.ok()) << one.status();
  std::vector<at::Tensor> expected;
  for (const auto& parameter : net->Parameters()) expected.push_back(parameter.tensor.grad().clone());
  for (const int64_t replicas : {2, 4, 8}) {
    const auto pass = ReplicaGradients(net, batch, replicas);
    ASSERT_TRUE(pass.ok()) << pass.status();
    EXPECT_NEAR(pass->loss, one->loss, 1e-6 * one->loss);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(at::allclose(net->Parameters()[i].tensor.grad(), expected[i], 1e-5, 1e-7))
          << net->Parameters()[i].name;
    }
    EXPECT_GT(pass->forward_s, 0);
    EXPECT_GT(pass->backward_s, 0);
  }
  EXPECT_EQ(at::get_num_threads(), threads);
}

TEST(Replicas, WhatCannotBeDividedIsRefused) {
  const auto net = Net();
  const data::Batch batch = {at::zeros({6, 3}, c10::kLong), at::zeros({6, 3}, c10::kLong)};
  const auto refused = ReplicaGradients(net, batch, 4);
  EXPECT_EQ(ExitCodeOf(refused.status()), ExitCode::kConfig);
  EXPECT_NE(MessageOf(refused.status()).find("6 rows cannot be divided evenly among 4"), std::string::npos);
  EXPECT_EQ(ExitCodeOf(ReplicaGradients(net, batch, 0).status()), ExitCode::kConfig);
  net->SetScriptedForward([](const at::Tensor& input, nn::State*) { return input; });
  EXPECT_EQ(ExitCodeOf(ReplicaGradients(net, batch, 2).status()), ExitCode::kConfig);
}

TEST(Replicas, AnErrorInAThreadIsThrownInThisOne) {
  const auto net = Net();
  const data::Batch batch = {at::full({4, 3}, 99, c10::kLong), at::zeros({4, 3}, c10::kLong)};  // ids out of range
  EXPECT_ANY_THROW((void)ReplicaGradients(net, batch, 2));
}

}  // namespace
}  // namespace lanthorn::train
