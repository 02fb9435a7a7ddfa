// Layers with parameters, against N backward passes, over drawn shapes and options. Every layer of the registry is held
// to the same by its example (tests/scripts/tscore/layer_examples_test.lua). LANTHORN_TEST_SEED=<n> repeats another
// draw.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_format.h"
#include "tests/engine/nn/make_layers.h"
#include "tests/engine/tscore/sample_loop.h"

namespace lanthorn::tscore {
namespace {

constexpr int kDraws = 45;  // shapes per layer

class Draw {
 public:
  explicit Draw(uint64_t seed) : engine_(seed) {}
  int64_t Int(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  bool Coin() { return Int(0, 1) == 1; }
  // (N, up to three dims of positions, last)
  std::vector<int64_t> Shape(int64_t samples, int64_t least_rank, int64_t last) {
    std::vector<int64_t> shape = {samples};
    const int64_t rank = Int(least_rank, 4);
    while (static_cast<int64_t>(shape.size()) + 1 < rank) shape.push_back(Int(0, 9) == 0 ? 0 : Int(1, 5));
    shape.push_back(last);
    return shape;
  }

 private:
  std::mt19937_64 engine_;
};

struct Case {
  ModulePtr layer;
  at::Tensor input;
  nn::State state;  // (layers, N, H), or empty
};

Case MakeRecurrent(const char* cell, Draw& draw, int64_t samples) {
  const int64_t input = draw.Int(1, 6), hidden = draw.Coin() ? draw.Int(1, 7) : draw.Int(8, 40),
                layers = draw.Int(1, 3);
  Case c = {Rnn(cell, input, hidden, layers, draw.Coin()), at::randn({samples, draw.Int(1, 6), input}), {}};
  if (draw.Coin()) {
    for (int64_t i = 0; i < c.layer->StateSize(); ++i) c.state.push_back(at::randn({layers, samples, hidden}));
  }
  return c;
}

// A layer of several inputs as one of their values side by side.
class OfParts final : public nn::Module {
 public:
  OfParts(ModulePtr layer, std::vector<int64_t> sizes) : nn::Module("OfParts"), sizes_(std::move(sizes)) {
    AddChild("layer", std::move(layer));
  }
  at::Tensor Compute(const at::Tensor& input, nn::State*) override {
    return children()[0].second->ForwardAll(at::split_with_sizes(input, sizes_, -1));
  }
  std::string Describe() const override { return children()[0].second->Describe(); }

 private:
  std::vector<int64_t> sizes_;
};

// Convolutions whose windows fit, in all their options. `dims`: spatial dimensions.
Case MakeConv(const std::string& name, int64_t dims, bool transposed, Draw& draw, int64_t samples) {
  std::vector<int64_t> kernel, stride, padding, dilation, output_padding, shape;
  for (int64_t d = 0; d < dims; ++d) {
    kernel.push_back(draw.Int(1, 3));
    stride.push_back(draw.Int(1, 3));
    padding.push_back(draw.Int(0, 2));
    dilation.push_back(draw.Int(1, 2));
    output_padding.push_back(draw.Int(0, std::max(stride.back(), dilation.back()) - 1));
  }
  const int64_t groups = draw.Int(1, 3), in = groups * draw.Int(1, 2), out = groups * draw.Int(1, 2);
  const bool bias = draw.Coin();
  const char* const modes[] = {"zeros", "reflect", "replicate", "circular"};
  const std::string mode = transposed ? modes[0] : modes[draw.Int(0, 3)];
  if (!transposed && draw.Int(0, 4) == 0) {  // 'same'
    padding.assign(padding.size(), nn::kSamePadding);
    stride.assign(stride.size(), 1);
  }
  shape = {samples, in};
  for (int64_t d = 0; d < dims; ++d) {
    if (!transposed) {
      shape.push_back(draw.Int(6, 8));
      continue;
    }
    // At least one position of the output: (length - 1) stride - 2 padding + dilation (kernel - 1) + output_padding >=
    // 0.
    const int64_t cut = 2 * padding[d] - dilation[d] * (kernel[d] - 1) - output_padding[d];
    const int64_t least = 1 + std::max<int64_t>(0, (cut + stride[d] - 1) / stride[d]);
    shape.push_back(draw.Int(least, least + 2));
  }
  const ModulePtr layer =
      transposed ? MakeLayer(name, {in, out, kernel, stride, padding, output_padding, groups, bias, dilation, mode})
                 : MakeLayer(name, {in, out, kernel, stride, padding, dilation, groups, bias, mode});
  return {layer, at::randn(shape), {}};
}

Case MakeBatchNormInEval(const std::string& name, Draw& draw, int64_t samples, std::vector<int64_t> positions) {
  const int64_t channels = draw.Int(1, 5);
  const ModulePtr layer = MakeLayer(name, {channels, 1e-5, 0.1, true, true});
  layer->Own("running_mean").normal_();
  layer->Own("running_var").uniform_(0.5, 2);
  layer->Train(false);
  std::vector<int64_t> shape = {samples, channels};
  shape.insert(shape.end(), positions.begin(), positions.end());
  return {layer, at::randn(shape), {}};
}

using Maker = std::function<Case(Draw& draw, int64_t samples)>;
const std::map<std::string, Maker>& Cases() {
  static const std::map<std::string, Maker> cases = {
      {"Linear",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t in = draw.Int(1, 7);
         return {Linear(in, draw.Int(1, 7), draw.Coin()), at::randn(draw.Shape(samples, 2, in)), {}};
       }},
      {"Embedding",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t count = draw.Int(1, 6);
         std::vector<int64_t> shape = draw.Shape(samples, 2, draw.Int(1, 8));
         if (draw.Int(0, 4) == 0) shape = {samples};
         return {Embedding(count, draw.Int(1, 5), draw.Coin() ? draw.Int(0, count - 1) : -1),
                 at::randint(count, shape, c10::kLong),
                 {}};
       }},
      {"LayerNorm",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t size = draw.Int(2, 7);
         return {LayerNorm(size, true, draw.Coin()), at::randn(draw.Shape(samples, 2, size)), {}};
       }},
      {"RMSNorm",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t size = draw.Int(1, 7);
         return {RmsNorm(size), at::randn(draw.Shape(samples, 2, size)), {}};
       }},
      {"MultiheadAttention",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t heads = draw.Int(1, 4), size = heads * draw.Int(1, 9);
         return {
             MultiheadAttention(size, heads, draw.Coin(), draw.Coin()), at::randn({samples, draw.Int(1, 9), size}), {}};
       }},
      {"TransformerEncoderLayer",
       [](Draw& draw, int64_t samples) -> Case {
         // Of two channels or one, a norm makes signs or nothing: gradients that vanish.
         const int64_t heads = draw.Int(1, 4), size = std::max<int64_t>(3, heads) * heads;
         const char* const activations[] = {"gelu", "gelu_tanh", "relu", "relu2", "swiglu"};
         const BlockOptions options = {.activation = activations[draw.Int(0, 4)],
                                       .norm = draw.Coin() ? "layer" : "rms",
                                       .norm_first = draw.Coin(),
                                       .causal = draw.Coin(),
                                       .bias = draw.Int(0, 3) > 0,
                                       .norm_affine = draw.Coin()};
         return {EncoderLayer(size, heads, draw.Int(1, 20), options), at::randn({samples, draw.Int(1, 9), size}), {}};
       }},
      {"PositionalEmbedding",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t length = draw.Int(1, 7), size = draw.Int(1, 5);
         return {MakeLayer("PositionalEmbedding", {length, size}), at::randn({samples, draw.Int(1, length), size}), {}};
       }},
      {"Conv1d", [](Draw& draw, int64_t samples) { return MakeConv("Conv1d", 1, false, draw, samples); }},
      {"Conv2d", [](Draw& draw, int64_t samples) { return MakeConv("Conv2d", 2, false, draw, samples); }},
      {"ConvTranspose1d",
       [](Draw& draw, int64_t samples) { return MakeConv("ConvTranspose1d", 1, true, draw, samples); }},
      {"ConvTranspose2d",
       [](Draw& draw, int64_t samples) { return MakeConv("ConvTranspose2d", 2, true, draw, samples); }},
      {"GroupNorm",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t groups = draw.Int(1, 3), channels = groups * draw.Int(2, 4);
         std::vector<int64_t> shape = {samples, channels};
         while (shape.size() < 4 && draw.Coin()) shape.push_back(draw.Int(1, 4));
         return {MakeLayer("GroupNorm", {groups, channels, 1e-5, true}), at::randn(shape), {}};
       }},
      {"BatchNorm1d",
       [](Draw& draw, int64_t samples) {
         return MakeBatchNormInEval("BatchNorm1d", draw, samples,
                                    draw.Coin() ? std::vector<int64_t>{draw.Int(1, 4)} : std::vector<int64_t>{});
       }},
      {"BatchNorm2d",
       [](Draw& draw, int64_t samples) {
         return MakeBatchNormInEval("BatchNorm2d", draw, samples, {draw.Int(1, 4), draw.Int(1, 4)});
       }},
      {"PReLU",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t channels = draw.Int(1, 5);
         std::vector<int64_t> shape = {samples, channels};
         while (shape.size() < 4 && draw.Coin()) shape.push_back(draw.Int(1, 4));
         return {MakeLayer("PReLU", {draw.Coin() ? channels : 1, 0.25}), at::randn(shape), {}};
       }},
      {"Bilinear",
       [](Draw& draw, int64_t samples) -> Case {
         const std::vector<int64_t> sizes = {draw.Int(1, 4), draw.Int(1, 4)};
         return {
             std::make_shared<OfParts>(MakeLayer("Bilinear", {sizes[0], sizes[1], draw.Int(1, 4), draw.Coin()}), sizes),
             at::randn(draw.Shape(samples, 2, sizes[0] + sizes[1])),
             {}};
       }},
      {"EmbeddingBag",
       [](Draw& draw, int64_t samples) -> Case {
         const int64_t count = draw.Int(1, 6);
         const char* const modes[] = {"sum", "mean", "max"};
         return {MakeLayer("EmbeddingBag", {count, draw.Int(1, 5), std::string(modes[draw.Int(0, 2)]), draw.Coin(),
                                            draw.Coin() ? draw.Int(0, count - 1) : -1}),
                 at::randint(count, {samples, draw.Int(1, 6)}, c10::kLong),
                 {}};
       }},
      {"GRU", [](Draw& draw, int64_t samples) { return MakeRecurrent("GRU", draw, samples); }},
      {"LSTM", [](Draw& draw, int64_t samples) { return MakeRecurrent("LSTM", draw, samples); }},
      {"Tree",
       [](Draw& draw, int64_t samples) -> Case {
         std::vector<int64_t> branching;
         while (branching.size() < 2 && draw.Coin()) branching.push_back(draw.Int(1, 3));
         const int64_t heads = draw.Int(1, 2), width = heads * draw.Int(1, 4);
         return {Tree(branching, width, heads, draw.Int(1, 9), 0, draw.Coin() ? "tree" : "level_mean"),
                 at::randn({samples, draw.Int(1, 5), width}),
                 {}};
       }},
  };
  return cases;
}

// A loss with a fixed random direction per sample over output and final state.
SampleLoss LossOf(const Case& c) {
  const auto forward = [c](int64_t first, int64_t count, nn::State* state) {
    const auto dtype = c.layer->Parameters()[0].tensor.scalar_type();
    for (const at::Tensor& part : c.state) state->push_back(part.narrow(1, first, count).to(dtype));
    const at::Tensor x = c.input.narrow(0, first, count);
    return c.layer->Forward(x.is_floating_point() ? x.to(dtype) : x, state);
  };
  nn::State state;
  const at::Tensor y = forward(0, c.input.size(0), &state);
  const at::Tensor direction = at::randn(y.sizes());
  std::vector<at::Tensor> state_directions;
  for (const at::Tensor& part : state) state_directions.push_back(at::randn(part.sizes()));
  return [=](int64_t first, int64_t count) {
    nn::State end;
    const at::Tensor out = forward(first, count, &end);
    at::Tensor loss = (out * direction.narrow(0, first, count)).sum() + 0.5 * out.square().sum();
    for (size_t i = 0; i < end.size(); ++i) loss = loss + (end[i] * state_directions[i].narrow(1, first, count)).sum();
    return loss;
  };
}

void ExpectEqual(const Score& exact, const Score& loop, double norm_tolerance, double t_tolerance) {
  ASSERT_EQ(exact.sample_sq.size(), loop.sample_sq.size());
  double largest = 0;
  for (double square : loop.sample_sq) largest = std::max(largest, square);
  for (size_t i = 0; i < loop.sample_sq.size(); ++i) {
    EXPECT_NEAR(exact.sample_sq[i], loop.sample_sq[i], norm_tolerance * (loop.sample_sq[i] + 1e-3 * largest))
        << "sample " << i;
  }
  EXPECT_EQ(exact.status, loop.status);
  EXPECT_EQ(exact.n, loop.n);
  ASSERT_EQ(exact.t.has_value(), loop.t.has_value());
  if (loop.t) {
    EXPECT_NEAR(*exact.t, *loop.t, t_tolerance);
  }
}

uint64_t Seed() {
  const char* seed = std::getenv("LANTHORN_TEST_SEED");
  return seed != nullptr ? std::strtoull(seed, nullptr, 10) : 1;
}

void RunAll(bool in_double) {
  for (const auto& [name, make] : Cases()) {
    for (int i = 0; i < kDraws; ++i) {
      const uint64_t seed = Seed() * 1000 + static_cast<uint64_t>(i);
      Draw draw(seed);
      at::manual_seed(seed);
      const int64_t samples = i % 5;
      const Case c = make(draw, samples);
      SCOPED_TRACE(absl::StrFormat("LANTHORN_TEST_SEED=%d, draw %d: %s, input %s", Seed(), i, c.layer->Describe(),
                                   c10::str(c.input.sizes()).c_str()));
      const SampleLoss loss = LossOf(c);
      if (in_double) c.layer->To(c10::kCPU, c10::kDouble);
      const auto exact = ExactScore(*c.layer, samples, loss);
      ASSERT_TRUE(exact.ok()) << exact.status();
      EXPECT_EQ(exact->method, "exact");
      c.layer->To(c10::kCPU, c10::kDouble);
      ExpectEqual(*exact, LoopScore(*c.layer, samples, loss), in_double ? 1e-10 : 1e-4, in_double ? 1e-10 : 1e-5);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// sum_i g_i * g_i of each parameter by N backwards; undefined where none had a gradient.
std::vector<at::Tensor> LoopElementSquares(nn::Module& model, int64_t samples, const SampleLoss& loss) {
  const auto parameters = model.Parameters();
  std::vector<at::Tensor> sums(parameters.size());
  for (int64_t i = 0; i < samples; ++i) {
    model.ZeroGrad();
    loss(i, 1).backward();
    for (size_t p = 0; p < parameters.size(); ++p) {
      const at::Tensor gradient = parameters[p].tensor.grad();
      if (!gradient.defined()) continue;
      sums[p] = sums[p].defined() ? sums[p] + gradient.square() : gradient.square();
    }
  }
  model.ZeroGrad();
  return sums;
}

TEST(TScoreContract, ElementSquaresEqualNBackwards) {
  for (const auto& [name, make] : Cases()) {
    for (int i = 0; i < kDraws; ++i) {
      const uint64_t seed = Seed() * 1000 + static_cast<uint64_t>(i);
      Draw draw(seed);
      at::manual_seed(seed);
      const int64_t samples = 1 + i % 4;
      const Case c = make(draw, samples);
      SCOPED_TRACE(absl::StrFormat("LANTHORN_TEST_SEED=%d, draw %d: %s", Seed(), i, c.layer->Describe()));
      c.layer->To(c10::kCPU, c10::kDouble);
      const SampleLoss loss = LossOf(c);
      c.layer->ZeroGrad();
      const Recorder::Ptr recorder = Recorder::Open(samples);
      const at::Tensor total = loss(0, samples);
      recorder->Close();
      total.backward();
      const auto squares = recorder->ElementSquares(c.layer->Parameters());
      ASSERT_TRUE(squares.ok()) << squares.status();
      const std::vector<at::Tensor> expected = LoopElementSquares(*c.layer, samples, loss);
      for (size_t p = 0; p < expected.size(); ++p) {
        const at::Tensor found = (*squares)[p];
        if (!expected[p].defined() || !found.defined()) {  // one of them may be zeros
          for (const at::Tensor& one : {expected[p], found})
            EXPECT_TRUE(!one.defined() || one.eq(0).all().item<bool>()) << c.layer->Parameters()[p].name;
          continue;
        }
        EXPECT_TRUE(at::allclose(found, expected[p], 1e-9, 1e-12)) << c.layer->Parameters()[p].name;
      }
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(TScoreContract, SampleNormsEqualNBackwardsInDouble) { RunAll(/*in_double=*/true); }

TEST(TScoreContract, FloatNormsStayWithinATenThousandthOfTheDoubleLoop) { RunAll(/*in_double=*/false); }

// Bags of unequal length by offsets, an empty one among them: dimension 0 of the output is the sample.
TEST(TScoreContract, BagsByOffsetsAreSamples) {
  at::manual_seed(5);
  const at::Tensor ids = at::randint(7, {9}, c10::kLong), offsets = at::tensor(std::vector<int64_t>{0, 4, 4, 6});
  const at::Tensor factors = at::rand({9}, c10::kDouble), direction = at::randn({4, 3}, c10::kDouble);
  for (const char* mode : {"sum", "mean", "max"}) {
    SCOPED_TRACE(mode);
    const bool weighted = std::string(mode) == "sum";
    const ModulePtr layer = MakeLayer("EmbeddingBag", {int64_t{7}, int64_t{3}, std::string(mode), false, int64_t{2}});
    layer->To(c10::kCPU, c10::kDouble);
    const auto loss = [&](int64_t first, int64_t count) {
      const int64_t begin = offsets[first].item<int64_t>(),
                    end = first + count < 4 ? offsets[first + count].item<int64_t>() : 9;
      const at::Tensor y =
          layer->ForwardAll({ids.narrow(0, begin, end - begin), offsets.narrow(0, first, count) - begin,
                             weighted ? factors.narrow(0, begin, end - begin) : at::Tensor()});
      return (y * direction.narrow(0, first, count)).sum() + y.square().sum();
    };
    const auto exact = ExactScore(*layer, 4, loss);
    ASSERT_TRUE(exact.ok()) << exact.status();
    ExpectEqual(*exact, LoopScore(*layer, 4, loss), 1e-10, 1e-10);
  }
}

TEST(TScoreContract, BatchNormInTrainingModeIsRefusedByName) {
  for (const bool affine : {true, false}) {
    auto model = std::make_shared<nn::Sequential>();
    model->AddChild("conv", MakeLayer("Conv2d", {int64_t{1}, int64_t{2}, std::vector<int64_t>{1, 1},
                                                 std::vector<int64_t>{1, 1}, std::vector<int64_t>{0, 0},
                                                 std::vector<int64_t>{1, 1}, int64_t{1}, true, std::string("zeros")}));
    model->AddChild("norm", MakeLayer("BatchNorm2d", {int64_t{2}, 1e-5, 0.1, affine, true}));
    const at::Tensor x = at::randn({4, 1, 3, 3});
    const auto score =
        ExactScore(*model, 4, [&](int64_t, int64_t) { return model->Forward(x, nullptr).square().sum(); });
    ASSERT_FALSE(score.ok());
    for (const char* word : {"BatchNorm2d in training mode", "nn.GroupNorm", "tscore.mode='loop'", "eval mode"})
      EXPECT_NE(MessageOf(score.status()).find(word), std::string::npos) << score.status();
  }
}

TEST(TScoreContract, FrozenParametersCountForNothing) {
  at::manual_seed(3);
  const ModulePtr layer = Linear(3, 2);
  layer->Parameters()[0].tensor.set_requires_grad(false);
  const at::Tensor x = at::randn({4, 3});
  const auto loss = [&](int64_t first, int64_t count) {
    return layer->Forward(x.narrow(0, first, count), nullptr).square().sum();
  };
  const auto exact = ExactScore(*layer, 4, loss);
  ASSERT_TRUE(exact.ok()) << exact.status();
  ExpectEqual(*exact, LoopScore(*layer, 4, loss), 1e-5, 1e-6);
}

}  // namespace
}  // namespace lanthorn::tscore
