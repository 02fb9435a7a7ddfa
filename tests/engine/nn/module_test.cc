#include "engine/nn/module.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tests/engine/nn/make_layers.h"

namespace lanthorn::nn {
namespace {

std::vector<std::string> Names(const std::vector<NamedParameter>& tensors) {
  std::vector<std::string> names;
  for (const NamedParameter& tensor : tensors) names.push_back(tensor.name);
  return names;
}

std::shared_ptr<Sequential> Tied() {
  auto model = std::make_shared<Sequential>("Tied");
  model->AddChild("embed", lanthorn::Embedding(7, 3));
  model->AddChild("head", lanthorn::Linear(3, 7, /*bias=*/false));
  EXPECT_TRUE(model->Child("head")->Tie("weight", model->Child("embed")->Own("weight")).ok());
  return model;
}

TEST(Module, NamesAreThoseOfPyTorchInOrderOfConstruction) {
  EXPECT_EQ(Names(CharRnn("GRU", 5, 4, 3, 2)->Parameters()),
            (std::vector<std::string>{"embed.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0",
                                      "rnn.bias_hh_l0", "rnn.weight_ih_l1", "rnn.weight_hh_l1", "rnn.bias_ih_l1",
                                      "rnn.bias_hh_l1", "head.weight", "head.bias"}));
}

TEST(Module, CountsAreThoseOfThePublishedModels) {
  EXPECT_EQ(CharRnn("GRU", 65, 128, 256, 2)->ParameterCount(), 716225);
  EXPECT_EQ(CharRnn("GRU", 53, 64, 128, 2)->ParameterCount(), 183797);
  EXPECT_EQ(CharRnn("GRU", 58, 64, 128, 2)->ParameterCount(), 184762);
  EXPECT_EQ(CharRnn("GRU", 79, 128, 128, 2)->ParameterCount(), 218447);
  EXPECT_EQ(CharRnn("GRU", 53, 128, 512, 6)->ParameterCount(), 8899765);
}

TEST(Module, ATiedWeightIsOneParameterWithTwoNames) {
  const auto model = Tied();
  EXPECT_EQ(Names(model->Parameters()), (std::vector<std::string>{"embed.weight"}));
  EXPECT_EQ(Names(model->StateDict()), (std::vector<std::string>{"embed.weight", "head.weight"}));
  EXPECT_EQ(model->ParameterCount(), 21);
  EXPECT_TRUE(model->StateDict()[0].tensor.is_same(model->StateDict()[1].tensor));
}

TEST(Module, TyingChecksNameAndShape) {
  const ModulePtr layer = lanthorn::Linear(3, 7);
  EXPECT_NE(
      MessageOf(layer->Tie("weight", at::ones({7, 4}))).find("Linear.weight is (7, 3) and cannot be tied to (7, 4)"),
      std::string::npos);
  EXPECT_NE(MessageOf(layer->Tie("wieght", at::ones({7, 3}))).find("no parameter 'wieght'"), std::string::npos);
}

TEST(Module, LoadingCopiesValuesByNameInAnyOrder) {
  const auto from = CharRnn("LSTM", 5, 4, 3, 2), to = CharRnn("LSTM", 5, 4, 3, 2);
  std::vector<NamedParameter> state = from->StateDict();
  std::reverse(state.begin(), state.end());
  const at::Tensor kept = to->Parameters()[0].tensor;
  ASSERT_TRUE(to->LoadStateDict(state).ok());
  EXPECT_TRUE(kept.is_same(to->Parameters()[0].tensor));  // optimisers keep seeing it
  for (size_t i = 0; i < to->Parameters().size(); ++i)
    EXPECT_TRUE(at::equal(to->Parameters()[i].tensor, from->Parameters()[i].tensor));
}

TEST(Module, LoadingListsEverythingThatDoesNotFitAndChangesNothing) {
  const auto model = CharRnn("GRU", 5, 4, 3, 1);
  std::vector<at::Tensor> before;
  for (const auto& parameter : model->Parameters()) before.push_back(parameter.tensor.detach().clone());
  std::vector<NamedParameter> state;
  for (const auto& entry : model->StateDict()) {
    if (entry.name == "head.bias" || entry.name == "embed.weight") continue;
    state.push_back({entry.name, at::zeros_like(entry.tensor)});
  }
  state[0].tensor = at::zeros({2, 2});  // rnn.weight_ih_l0
  state.push_back({"tail.weight", at::zeros({1})});
  state.push_back({"tail.bias", at::zeros({1})});
  const absl::Status status = model->LoadStateDict(state);
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kCheckpoint);
  for (const char* words : {"missing", "head.bias", "embed.weight", "not in the model", "tail.weight", "tail.bias",
                            "wrong shape", "rnn.weight_ih_l0", "(2, 2)", "(9, 4)"}) {
    EXPECT_NE(MessageOf(status).find(words), std::string::npos) << words << " in " << status;
  }
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(before[i], model->Parameters()[i].tensor));
}

TEST(Module, MovingKeepsIdentityTiesGradientsAndIntegers) {
  const auto model = Tied();
  const at::Tensor weight = model->Parameters()[0].tensor;
  model->Forward(at::arange(3, c10::kLong), nullptr).sum().backward();
  const at::Tensor before = weight.detach().clone();
  model->To(c10::kCPU, c10::kDouble);
  EXPECT_TRUE(weight.is_same(model->Parameters()[0].tensor));
  EXPECT_EQ(weight.scalar_type(), c10::kDouble);
  EXPECT_EQ(weight.grad().scalar_type(), c10::kDouble);
  EXPECT_TRUE(at::equal(weight.detach(), before.to(c10::kDouble)));
  EXPECT_EQ(model->Parameters().size(), 1u);
  EXPECT_EQ(model->Forward(at::arange(3, c10::kLong), nullptr).scalar_type(), c10::kDouble);
}

TEST(Module, GradientsFlowAfterMoving) {
  const ModulePtr layer = lanthorn::Linear(3, 2);
  const at::Tensor x = at::ones({4, 3});
  layer->Forward(x, nullptr).sum().backward();  // the accumulator of float exists now
  layer->ZeroGrad();
  layer->To(c10::kCPU, c10::kDouble);
  layer->Forward(x.to(c10::kDouble), nullptr).sum().backward();
  EXPECT_EQ(layer->Own("weight").grad().scalar_type(), c10::kDouble);
  EXPECT_TRUE(at::equal(layer->Own("bias").grad(), at::full({2}, 4.0, c10::kDouble)));
}

TEST(Module, StateCarriedAcrossHalvesEqualsOneForward) {
  const at::NoGradGuard no_grad;
  for (const char* cell : {"GRU", "LSTM"}) {
    const auto model = CharRnn(cell, 9, 4, 6, /*layers=*/3);
    model->To(c10::kCPU, c10::kDouble);
    const at::Tensor ids = at::randint(9, {5, 11}, c10::kLong);
    State state;
    const at::Tensor first = model->Forward(ids.narrow(1, 0, 4), &state),
                     second = model->Forward(ids.narrow(1, 4, 7), &state);
    EXPECT_EQ(static_cast<int64_t>(state.size()), model->StateSize());
    EXPECT_EQ(state[0].sizes(), at::IntArrayRef({3, 5, 6}));
    State whole_state;
    const at::Tensor whole = model->Forward(ids, &whole_state);
    EXPECT_TRUE(at::allclose(at::cat({first, second}, 1), whole, 1e-12, 1e-12)) << cell;
    for (size_t i = 0; i < state.size(); ++i) EXPECT_TRUE(at::allclose(state[i], whole_state[i], 1e-12, 1e-12)) << cell;
    EXPECT_TRUE(at::equal(model->Forward(ids, nullptr), whole));  // without state it starts from zeros again
  }
}

TEST(Module, AStateOfAnotherShapeIsNamed) {
  const auto model = CharRnn("LSTM", 9, 4, 6, 2);
  State state = {at::zeros({2, 3, 6})};
  EXPECT_THROW(model->Forward(at::zeros({3, 2}, c10::kLong), &state), c10::Error);
  state = {at::zeros({2, 4, 6}), at::zeros({2, 4, 6})};
  try {
    model->Forward(at::zeros({3, 2}, c10::kLong), &state);
    ADD_FAILURE();
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what_without_backtrace()).find("[LSTM] state must be (2, 3, 6), got [2, 4, 6]"),
              std::string::npos)
        << error.what_without_backtrace();
  }
}

TEST(Module, DropoutActsInTrainingModeOnly) {
  const at::NoGradGuard no_grad;
  const auto model = CharRnn("GRU", 9, 4, 6, /*layers=*/2, /*dropout=*/0.5);
  model->AddChild("drop", MakeLayer("Dropout", {0.5}));
  const at::Tensor ids = at::randint(9, {5, 7}, c10::kLong);
  const auto forward = [&] { return model->Forward(ids, nullptr); };
  EXPECT_TRUE(model->training());
  EXPECT_FALSE(at::equal(forward(), forward()));
  model->Train(false);
  EXPECT_FALSE(model->Child("rnn")->training());
  EXPECT_TRUE(at::equal(forward(), forward()));
  model->Train(true);
  EXPECT_TRUE(model->Child("drop")->training());
  EXPECT_FALSE(at::equal(forward(), forward()));
}

TEST(Module, TheLastLayersOutputIsNotDropped) {
  const at::NoGradGuard no_grad;
  const ModulePtr one = lanthorn::Rnn("GRU", 3, 4, /*layers=*/1, true, true, /*dropout=*/0.9);
  const at::Tensor x = at::randn({2, 5, 3});
  EXPECT_TRUE(at::equal(one->Forward(x, nullptr), one->Forward(x, nullptr)));
}

TEST(Module, TimeFirstIsTheTransposedForm) {
  const at::NoGradGuard no_grad;
  const ModulePtr rows = lanthorn::Rnn("LSTM", 3, 4, 2),
                  steps = lanthorn::Rnn("LSTM", 3, 4, 2, true, /*batch_first=*/false);
  ASSERT_TRUE(steps->LoadStateDict(rows->StateDict()).ok());
  const at::Tensor x = at::randn({2, 5, 3});
  EXPECT_TRUE(at::equal(rows->Forward(x, nullptr), steps->Forward(x.transpose(0, 1), nullptr).transpose(0, 1)));
}

TEST(Module, ChildrenNeedNewNamesWithoutDots) {
  Container model("Model");
  model.AddChild("a", lanthorn::Linear(1, 1));
  EXPECT_THROW(model.AddChild("a", lanthorn::Linear(1, 1)), c10::Error);
  EXPECT_THROW(model.AddChild("a.b", lanthorn::Linear(1, 1)), c10::Error);
  EXPECT_THROW(model.AddChild("", lanthorn::Linear(1, 1)), c10::Error);
  EXPECT_FALSE(model.HasForward());
  EXPECT_THROW(model.Forward(at::ones({1}), nullptr), c10::Error);
}

TEST(Module, EveryRegisteredLayerRefusesImpossibleSizesWithItsTag) {
  const auto refuses = [](const std::string& name, const std::vector<c10::IValue>& arguments) {
    try {
      MakeLayer(name, arguments);
      ADD_FAILURE() << name << " took impossible arguments";
    } catch (const c10::Error& error) {
      EXPECT_EQ(std::string(error.what_without_backtrace()).rfind("[" + name + "]", 0), 0u)
          << error.what_without_backtrace();
    }
  };
  refuses("Linear", {int64_t{0}, int64_t{1}, true});
  refuses("Embedding", {int64_t{3}, int64_t{-1}, int64_t{-1}});
  refuses("Embedding", {int64_t{3}, int64_t{1}, int64_t{3}});
  refuses("LayerNorm", {int64_t{0}, 1e-5, true, true});
  refuses("RMSNorm", {int64_t{2}, -1e-5, true});
  refuses("Dropout", {1.0});
  for (const char* cell : {"GRU", "LSTM"}) {
    refuses(cell, {int64_t{2}, int64_t{0}, int64_t{1}, true, true, 0.0});
    refuses(cell, {int64_t{2}, int64_t{2}, int64_t{0}, true, true, 0.0});
    refuses(cell, {int64_t{2}, int64_t{2}, int64_t{1}, true, true, 1.0});
  }
}

TEST(LinearHead, SplitsTheForwardOfAModelThatEndsWithALinearLayer) {
  at::manual_seed(5);
  const auto model = CharRnn("GRU", 7, 3, 4, /*layers=*/2);
  const at::Tensor ids = at::randint(7, {2, 5}, c10::kLong);
  const auto head = model->LinearHead();
  ASSERT_TRUE(head);
  State whole, split;
  const at::Tensor expected = model->Forward(ids, &whole), features = model->Features(ids, &split);
  EXPECT_TRUE(at::allclose(at::linear(features, head->weight, head->bias), expected));
  ASSERT_EQ(split.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(at::equal(split[i], whole[i]));
  EXPECT_TRUE(head->weight.is_same(model->Child("head")->Own("weight")));
}

TEST(LinearHead, ExistsWhereNothingComesAfterALinearLayer) {
  EXPECT_FALSE(Linear(3, 2, /*bias=*/false)->LinearHead()->bias.defined());
  EXPECT_FALSE(Rnn("GRU", 3, 2)->LinearHead());
  auto outer = std::make_shared<Sequential>(), inner = std::make_shared<Sequential>();
  EXPECT_FALSE(outer->LinearHead());
  inner->AddChild("0", Linear(3, 4));
  outer->AddChild("0", Linear(2, 3));
  outer->AddChild("1", inner);
  EXPECT_TRUE(outer->LinearHead());
  EXPECT_EQ(outer->Features(at::ones({5, 2}), nullptr).sizes(), (std::vector<int64_t>{5, 3}));
  outer->AddChild("2", MakeLayer("Tanh", {}));
  EXPECT_FALSE(outer->LinearHead());
  EXPECT_THROW(outer->Features(at::ones({5, 2}), nullptr), c10::Error);
}

}  // namespace
}  // namespace lanthorn::nn
