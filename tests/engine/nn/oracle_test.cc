// Small recurrent models and transformers against PyTorch's numbers (tests/golden/make_pytorch_oracles.py says what the
// files hold). Bounds for float32: loss 1e-5 and gradients, norms of samples and the losses of ten updates 1e-4, all
// relative; T 1e-5.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/base/files/safetensors.h"
#include "engine/optim/optimizer.h"
#include "tests/engine/folders.h"
#include "tests/engine/nn/make_layers.h"
#include "tests/engine/optim/make_optimizer.h"
#include "tests/engine/tscore/sample_loop.h"

namespace lanthorn {
namespace {

// An oracle may write a pre-norm block out of layers with names of its own; ours are PyTorch's.
std::string OurName(std::string name) {
  for (const auto& [theirs, ours] :
       std::vector<std::pair<std::string, std::string>>{{"qkv.weight", "self_attn.in_proj_weight"},
                                                        {"qkv.bias", "self_attn.in_proj_bias"},
                                                        {"proj.", "self_attn.out_proj."},
                                                        {"up.", "linear1."},
                                                        {"down.", "linear2."}}) {
    const size_t at = name.find(theirs);
    if (at != std::string::npos && name.find("self_attn") == std::string::npos) name.replace(at, theirs.size(), ours);
  }
  return name;
}

std::shared_ptr<nn::Sequential> Gpt(const nlohmann::json& c) {
  const int64_t vocab = c["vocab"], size = c["embed"], heads = c["heads"], layers = c["layers"], length = c["seq"];
  auto model = std::make_shared<nn::Sequential>("GPT"), blocks = std::make_shared<nn::Sequential>();
  for (int64_t i = 0; i < layers; ++i)
    blocks->AddChild(std::to_string(i), EncoderLayer(size, heads, 4 * size, {.norm_first = true, .causal = true}));
  model->AddChild("embed", Embedding(vocab, size));
  model->AddChild("pos", MakeLayer("PositionalEmbedding", {length, size}));
  model->AddChild("blocks", blocks);
  model->AddChild("norm", LayerNorm(size));
  model->AddChild("head", Linear(size, vocab, /*bias=*/false));
  if (c["tied"].get<bool>()) {
    EXPECT_TRUE(model->Child("head")->Tie("weight", model->Child("embed")->Own("weight")).ok());
  }
  return model;
}

struct Oracle {
  nlohmann::json json;
  std::map<std::string, at::Tensor> tensors;
  std::shared_ptr<nn::Sequential> model;

  // Reads a case (its path without the ending), builds its model and gives it the parameters.
  static void Open(const std::string& path, Oracle* oracle) {
    oracle->json = ReadJson(path + ".json");
    const auto file = ReadSafetensors(path + ".safetensors");
    ASSERT_TRUE(file.ok()) << file.status();
    for (const auto& [key, tensor] : file->tensors) oracle->tensors.emplace(OurName(key), tensor);
    const auto& c = oracle->json["config"];
    if (c.contains("cell")) {
      oracle->model = CharRnn(c["cell"], c["vocab"], c["embed"], c["hidden"], c["layers"]);
    } else {
      oracle->model = Gpt(c);
      if (c["tied"].get<bool>()) oracle->tensors["param.head.weight"] = oracle->tensors.at("param.embed.weight");
    }
    oracle->Load();
  }
  void Load() {
    std::vector<nn::NamedParameter> state;
    for (const auto& [name, tensor] : tensors) {
      if (name.rfind("param.", 0) == 0) state.push_back({name.substr(6), tensor});
    }
    ASSERT_TRUE(model->LoadStateDict(state).ok());
  }
  // Mean cross entropy of `count` samples.
  at::Tensor LossOf(int64_t first, int64_t count) const {
    const at::Tensor logits = model->Forward(tensors.at("x").narrow(0, first, count), nullptr);
    return at::cross_entropy_loss(logits.reshape({-1, logits.size(-1)}),
                                  tensors.at("y").narrow(0, first, count).reshape(-1));
  }
  int64_t batch() const { return tensors.at("x").size(0); }
};

// The paths of all cases, without their ending. The project's own have to be there, and some in any other folder.
std::vector<std::string> Cases() {
  std::vector<std::string> paths;
  for (const std::string& folder : OracleFolders()) {
    const size_t before = paths.size();
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      if (entry.path().extension() == ".json") paths.push_back(entry.path().parent_path() / entry.path().stem());
    }
    EXPECT_GT(paths.size(), before) << "there is no oracle in " << folder;
  }
  std::sort(paths.begin(), paths.end());
  for (const char* needed : {"gru", "gru_one_step", "lstm", "gpt", "gpt_tied"}) {
    EXPECT_TRUE(std::count(paths.begin(), paths.end(), GoldenPath(std::string("oracles/") + needed))) << needed;
  }
  return paths;
}

void ExpectLossGradientsAndNorms(const std::string& path) {
  Oracle oracle;
  ASSERT_NO_FATAL_FAILURE(Oracle::Open(path, &oracle));
  const int64_t N = oracle.batch();
  const auto recorder = tscore::Recorder::Open(N);
  const at::Tensor loss = oracle.LossOf(0, N);
  loss.backward();
  const auto score = recorder->Finish(oracle.model->Parameters(), /*verify=*/true);
  ASSERT_TRUE(score.ok()) << score.status();

  const double expected = oracle.json["loss"];
  EXPECT_NEAR(loss.item<double>(), expected, 1e-5 * expected);
  for (const auto& parameter : oracle.model->Parameters()) {
    const at::Tensor gradient = oracle.tensors.at("grad." + parameter.name);
    EXPECT_LE((parameter.tensor.grad() - gradient).norm().item<double>(), 1e-4 * gradient.norm().item<double>())
        << parameter.name;
  }
  // Ours are contributions to the batch mean: 1 / N of each sample's own gradient.
  const double scale = static_cast<double>(N * N);
  const at::Tensor& sample_sq = oracle.tensors.at("sample_sq");
  for (int64_t i = 0; i < N; ++i) {
    const double square = sample_sq[i].item<double>();
    EXPECT_NEAR(score->sample_sq[static_cast<size_t>(i)] * scale, square, 1e-4 * square) << "sample " << i;
  }
  EXPECT_NEAR(*score->t, oracle.json["T"].get<double>(), 1e-5);
  EXPECT_NEAR(score->s * scale, oracle.json["S"].get<double>(), 1e-4 * oracle.json["S"].get<double>());
  EXPECT_NEAR(score->q * scale, oracle.json["Q"].get<double>(), 1e-4 * oracle.json["Q"].get<double>());
}

void ExpectTenLosses(const std::string& path) {
  Oracle oracle;
  ASSERT_NO_FATAL_FAILURE(Oracle::Open(path, &oracle));
  for (const auto& [optimizer_name, key, decay] :
       {std::tuple{"Adam", "adam_losses", 0.0}, std::tuple{"AdamW", "adamw_losses", 0.01}}) {
    oracle.Load();
    const auto optimizer = MakeOptimizer(optimizer_name);
    optimizer->AddGroup(oracle.model->Parameters(), OptionsOf(optimizer_name, {{"lr", 2e-3}, {"weight_decay", decay}}));
    for (size_t step = 0; step < 10; ++step) {
      oracle.model->ZeroGrad();
      const at::Tensor loss = oracle.LossOf(0, oracle.batch());
      const double expected = oracle.json[key][step];
      EXPECT_NEAR(loss.item<double>(), expected, 1e-4 * expected) << optimizer_name << " step " << step;
      loss.backward();
      optimizer->Step();
    }
  }
}

TEST(PyTorchOracle, LossGradientsAndSampleNormsAgree) {
  for (const std::string& path : Cases()) {
    SCOPED_TRACE(path);
    ExpectLossGradientsAndNorms(path);
  }
}

TEST(PyTorchOracle, TenLossesOfAdamAndAdamWAgree) {
  for (const std::string& path : Cases()) {
    SCOPED_TRACE(path);
    ExpectTenLosses(path);
  }
}

}  // namespace
}  // namespace lanthorn
