// What holds for every fused operator. A new one is a RegisterOperatorCase in its own test.
#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "engine/tscore/recorder.h"
#include "tests/engine/kernels/expect_error.h"
#include "tests/engine/kernels/kernel_scopes.h"
#include "tests/engine/kernels/operator_case.h"

namespace lanthorn::kernels {
namespace {

// The problem's leaves in this dtype, each a leaf of its own.
std::vector<at::Tensor> LeavesOf(const OperatorProblem& problem, c10::ScalarType dtype) {
  std::vector<at::Tensor> leaves;
  for (const Leaf& leaf : problem.leaves)
    leaves.push_back(leaf.tensor.detach().to(dtype, /*non_blocking=*/false, /*copy=*/true).set_requires_grad(true));
  return leaves;
}

// A sum of all outputs, each element with a weight of its own, which is the same number for both dtypes.
at::Tensor LossOf(const std::vector<at::Tensor>& outputs) {
  at::manual_seed(22);
  at::Tensor loss;
  for (const at::Tensor& output : outputs) {
    const at::Tensor weight = at::randn(output.sizes(), c10::kDouble).to(output.scalar_type());
    const at::Tensor one = (output * weight).sum();
    loss = loss.defined() ? loss + one : one;
  }
  return loss;
}

struct Results {
  std::vector<std::pair<std::string, at::Tensor>> tensors;  // outputs and gradients
  std::vector<double> squares;                              // of the samples, if recorded
};

Results Evaluate(const OperatorProblem& problem, bool fused, bool record) {
  const std::vector<at::Tensor> leaves = LeavesOf(problem, fused ? c10::kFloat : c10::kDouble);
  const tscore::Recorder::Ptr recorder = record ? tscore::Recorder::Open() : nullptr;
  const std::vector<at::Tensor> outputs = (fused ? problem.fused : problem.plain)(leaves);
  if (record) recorder->Close();
  LossOf(outputs).backward();
  Results results;
  for (size_t i = 0; i < outputs.size(); ++i)
    results.tensors.emplace_back("output " + std::to_string(i), outputs[i].detach());
  std::vector<tscore::NamedParameter> parameters;
  for (size_t i = 0; i < leaves.size(); ++i) {
    results.tensors.emplace_back("gradient of " + problem.leaves[i].name, leaves[i].grad());
    if (problem.leaves[i].parameter) parameters.push_back({problem.leaves[i].name, leaves[i]});
  }
  if (!record) return results;
  // With verify, the samples' gradients are made one by one and added up.
  const auto score = recorder->Finish(parameters, /*verify=*/true);
  EXPECT_TRUE(score.ok()) << score.status();
  if (score.ok()) results.squares = score->sample_sq;
  return results;
}

bool HasParameters(const OperatorProblem& problem) {
  for (const Leaf& leaf : problem.leaves) {
    if (leaf.parameter) return true;
  }
  return false;
}

void ExpectAgree(const OperatorCase& one, const OperatorProblem& problem) {
  SCOPED_TRACE(problem.words);
  const bool parameters = HasParameters(problem);
  const Results expected = Evaluate(problem, /*fused=*/false, /*record=*/parameters);
  for (const bool record : {false, true}) {
    if (record && !parameters) continue;
    const Results got = Evaluate(problem, /*fused=*/true, record);
    ASSERT_EQ(got.tensors.size(), expected.tensors.size());
    for (size_t i = 0; i < got.tensors.size(); ++i) {
      const at::Tensor &a = got.tensors[i].second, &b = expected.tensors[i].second;
      ASSERT_EQ(a.sizes(), b.sizes()) << got.tensors[i].first;
      if (a.numel() == 0) continue;
      EXPECT_LE((a - b).abs().max().item<double>(), one.tolerance * std::max(1.0, b.abs().max().item<double>()))
          << got.tensors[i].first << " record=" << record;
    }
    if (!record) continue;
    ASSERT_EQ(got.squares.size(), expected.squares.size());
    for (size_t i = 0; i < got.squares.size(); ++i)
      EXPECT_NEAR(got.squares[i], expected.squares[i], one.sample_tolerance * expected.squares[i]) << "sample " << i;
  }
}

class OperatorCasesTest : public testing::TestWithParam<OperatorCase> {};

TEST_P(OperatorCasesTest, AgreesWithPlainOperators) {
  GetParam().all([](const OperatorProblem& problem) {
    if (!HasFailure()) ExpectAgree(GetParam(), problem);
  });
}

TEST_P(OperatorCasesTest, AgreesWithPlainOperatorsOnEveryInstructionSetOfThisCpu) {
  ForEveryInstructionSet([](const char* name) {
    SCOPED_TRACE(name);
    GetParam().few([](const OperatorProblem& problem) {
      if (!HasFailure()) ExpectAgree(GetParam(), problem);
    });
  });
}

void ExpectSameBits(const OperatorProblem& problem, bool record) {
  Results first;
  for (const int threads : {1, 1, 2, 3, 5, 2}) {
    const ThreadScope scope(threads);
    const Results again = Evaluate(problem, /*fused=*/true, record);
    if (first.tensors.empty()) first = again;
    for (size_t i = 0; i < first.tensors.size(); ++i) {
      EXPECT_TRUE(at::equal(first.tensors[i].second, again.tensors[i].second))
          << threads << " threads: " << first.tensors[i].first;
    }
    EXPECT_EQ(first.squares, again.squares) << threads << " threads";
  }
}

TEST_P(OperatorCasesTest, ResultsAreTheSameBitsForAnyNumberOfThreads) {
  GetParam().threads([](const OperatorProblem& problem) {
    SCOPED_TRACE(problem.words);
    ExpectSameBits(problem, /*record=*/false);
    if (HasParameters(problem)) ExpectSameBits(problem, /*record=*/true);
  });
}

TEST_P(OperatorCasesTest, ASecondBackwardThroughTheSameGraphGivesTheSame) {
  const OperatorProblem problem = GetParam().small();
  const std::vector<at::Tensor> leaves = LeavesOf(problem, c10::kFloat);
  const at::Tensor loss = LossOf(problem.fused(leaves));
  std::vector<at::Tensor> first = torch::autograd::grad({loss}, leaves, {}, /*retain_graph=*/true);
  for (at::Tensor& gradient : first) gradient = gradient.clone();  // an operator that handed out what it keeps
  const auto second = torch::autograd::grad({loss}, leaves);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(at::equal(first[i], second[i])) << problem.leaves[i].name;
}

TEST_P(OperatorCasesTest, ASecondDerivativeIsRefusedByName) {
  const OperatorProblem problem = GetParam().small();
  const std::vector<at::Tensor> leaves = LeavesOf(problem, c10::kFloat);
  const at::Tensor loss = LossOf(problem.fused(leaves));
  ExpectError(GetParam().tag.empty() ? GetParam().name : GetParam().tag, "has no second derivative",
              [&] { torch::autograd::grad({loss}, {leaves[0]}, {}, /*retain_graph=*/true, /*create_graph=*/true); });
}

TEST_P(OperatorCasesTest, AFrozenLeafGetsNoGradientAndTheOthersTheirs) {
  const OperatorProblem problem = GetParam().small();
  const Results all = Evaluate(problem, /*fused=*/true, /*record=*/false);
  for (size_t frozen = 0; frozen < problem.leaves.size(); ++frozen) {
    const std::vector<at::Tensor> leaves = LeavesOf(problem, c10::kFloat);
    if (leaves.size() == 1) continue;  // then there is no graph
    leaves[frozen].set_requires_grad(false);
    const std::vector<at::Tensor> outputs = problem.fused(leaves);
    LossOf(outputs).backward();
    EXPECT_FALSE(leaves[frozen].grad().defined()) << problem.leaves[frozen].name;
    for (size_t i = 0; i < leaves.size(); ++i) {
      if (i == frozen) continue;
      const at::Tensor& expected = all.tensors[outputs.size() + i].second;
      EXPECT_TRUE(at::equal(leaves[i].grad(), expected))
          << problem.leaves[i].name << " with " << problem.leaves[frozen].name << " frozen";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, OperatorCasesTest, testing::ValuesIn(OperatorCases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lanthorn::kernels
