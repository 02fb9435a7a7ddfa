// A tiny character model and text, for tests of the loop.
#pragma once

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/data/text.h"
#include "engine/train/loss/losses.h"
#include "engine/train/trainer.h"
#include "tests/engine/nn/make_layers.h"
#include "tests/engine/optim/make_optimizer.h"

namespace lanthorn::train {

constexpr int64_t kVocabulary = 6;

// A text that repeats 0 1 2 3 4 5 with a slip now and then.
inline std::shared_ptr<data::Batches> TinyBatches(int64_t length, int64_t batch = 4) {
  at::Tensor ids = at::arange(length, c10::kLong).remainder(kVocabulary);
  for (int64_t i = 0; i < length; i += 11) ids[i] = (i / 11) % kVocabulary;
  return std::make_shared<data::TextBatches>(
      data::TokenIds::FromTensor(ids), data::TextOptions{.batch = batch, .seq = 6, .stride = 6, .drop_last = true});
}

// Collects what the loop says, and may stop it.
struct Notes final : Observer {
  std::vector<StepRecord> steps;
  std::vector<EvalRecord> evals;
  std::vector<EpochRecord> epochs;
  std::vector<std::string> phases;
  std::vector<std::pair<int, int64_t>> signals;
  std::function<void(int64_t)> on_part;
  std::function<absl::Status(const StepRecord&, Control*)> on_step;

  absl::Status OnStep(const StepRecord& record, Control* control) override {
    steps.push_back(record);
    return on_step ? on_step(record, control) : absl::OkStatus();
  }
  absl::Status OnEval(const EvalRecord& record, int64_t) override {
    evals.push_back(record);
    return absl::OkStatus();
  }
  absl::Status OnEpoch(const EpochRecord& record, Control*) override {
    epochs.push_back(record);
    return absl::OkStatus();
  }
  void OnPhase(const std::string& phase) override { phases.push_back(phase); }
  void OnPart(int64_t done, int64_t) override {
    if (on_part) on_part(done);
  }
  void OnSignal(int signal, int64_t step) override { signals.emplace_back(signal, step); }
  std::vector<double> Losses() const {
    std::vector<double> losses;
    for (const StepRecord& step : steps) losses.push_back(step.loss);
    return losses;
  }
};

struct Setup {
  uint64_t seed = 1;
  double dropout = 0, lr = 0.02;
  std::string cell = "GRU", optimizer = "Adam";
  FitOptions options = {};
  int64_t length = 400, val_length = 120;
};

// Model, trainer and notes for a setup; the loss can be wrapped before Start.
struct Tiny {
  std::shared_ptr<nn::Sequential> model;
  std::shared_ptr<data::Batches> train, val;
  std::shared_ptr<optim::Optimizer> optimizer;
  std::shared_ptr<Notes> notes = std::make_shared<Notes>();
  LossFn loss;
  std::unique_ptr<Trainer> trainer;

  explicit Tiny(const Setup& setup = {}) : setup_(setup) {
    at::manual_seed(setup.seed);
    model = CharRnn(setup.cell, kVocabulary, 8, 12, /*layers=*/2, setup.dropout);
    train = TinyBatches(setup.length);
    val = TinyBatches(setup.val_length);
    optimizer = MakeOptimizer(setup.optimizer);
    loss = *NamedLoss("cross_entropy", model);
  }
  Trainer& Start() {
    optimizer->AddGroup(model->Parameters(), OptionsOf(setup_.optimizer, {{"lr", setup_.lr}}));
    trainer = std::make_unique<Trainer>(model, loss, train, val, optimizer, setup_.options);
    trainer->AddObserver(notes);
    return *trainer;
  }
  std::vector<at::Tensor> Values() const {
    std::vector<at::Tensor> values;
    for (const auto& parameter : model->Parameters()) values.push_back(parameter.tensor.detach().clone());
    return values;
  }

 private:
  Setup setup_;
};

inline bool Equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!at::equal(a[i], b[i])) return false;
  }
  return true;
}

inline void ExpectStatus(const absl::Status& status, ExitCode code, const std::vector<std::string>& words) {
  EXPECT_EQ(ExitCodeOf(status), code) << status;
  for (const std::string& word : words)
    EXPECT_NE(MessageOf(status).find(word), std::string::npos) << word << " in " << status;
}

}  // namespace lanthorn::train
