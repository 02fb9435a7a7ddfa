// The fused GRU and LSTM (float32) against plain operators in float64, to float's rounding over the number of steps,
// since each step's error is passed on. The plain operators themselves are held against finite differences.
#include "engine/kernels/recurrent/recurrent.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/str_format.h"
#include "engine/kernels/recurrent/recurrent_steps.h"
#include "tests/engine/kernels/kernel_scopes.h"
#include "tests/engine/kernels/operator_case.h"

namespace lanthorn::kernels {
namespace {

const char* Name(Cell cell) { return cell == Cell::kGru ? "gru" : "lstm"; }

struct Problem {
  Cell cell;
  at::Tensor input, h0, c0;  // states may be undefined
  RecurrentWeights weights;

  // The defined tensors that have gradients, with their names.
  std::vector<std::pair<const char*, at::Tensor>> Leaves() const {
    std::vector<std::pair<const char*, at::Tensor>> leaves;
    for (const auto& [name, tensor] : std::vector<std::pair<const char*, at::Tensor>>{{"input", input},
                                                                                      {"h0", h0},
                                                                                      {"c0", c0},
                                                                                      {"w_ih", weights.w_ih},
                                                                                      {"w_hh", weights.w_hh},
                                                                                      {"b_ih", weights.b_ih},
                                                                                      {"b_hh", weights.b_hh}}) {
      if (tensor.defined()) leaves.emplace_back(name, tensor);
    }
    return leaves;
  }
};

Problem Make(Cell cell, int64_t B, int64_t T, int64_t I, int64_t H, bool bias, bool state, c10::ScalarType dtype) {
  at::manual_seed(11);
  const int64_t rows = GateCount(cell) * H;
  // Larger weights would make the recurrence chaotic: it then magnifies rounding without limit.
  const double scale = std::min(0.5, 1 / std::sqrt(static_cast<double>(H)));
  const auto leaf = [&](std::vector<int64_t> sizes) {
    return (at::randn(sizes, dtype) * scale).set_requires_grad(true);
  };
  Problem p = {cell, leaf({B, T, I}), {}, {}, {leaf({rows, I}), leaf({rows, H}), {}, {}}};
  if (bias) p.weights.b_ih = leaf({rows}), p.weights.b_hh = leaf({rows});
  if (state) p.h0 = leaf({B, H});
  if (state && cell == Cell::kLstm) p.c0 = leaf({B, H});
  return p;
}

at::Tensor LossOf(const RecurrentOutput& y) {
  at::manual_seed(12);
  // Drawn in float64, so that the weights of the loss are the same numbers for both dtypes.
  const auto weights = [](const at::Tensor& of) { return at::randn(of.sizes(), c10::kDouble).to(of.scalar_type()); };
  at::Tensor loss = (y.output * weights(y.output)).sum() + (y.h * y.h).sum();
  return y.c.defined() ? loss + (y.c * weights(y.c)).sum() : loss;
}

using Function = RecurrentOutput (*)(Cell, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                     const RecurrentWeights&);
// Outputs and gradients by name.
std::vector<std::pair<std::string, at::Tensor>> Results(Function function, const Problem& p, bool strided = false) {
  for (auto& [name, leaf] : p.Leaves()) leaf.mutable_grad() = at::Tensor();
  // The same values with time before batch in memory.
  const at::Tensor input = strided ? p.input.transpose(0, 1).contiguous().transpose(0, 1) : p.input;
  const RecurrentOutput y = function(p.cell, input, p.h0, p.c0, p.weights);
  LossOf(y).backward();
  std::vector<std::pair<std::string, at::Tensor>> found = {{"output", y.output.detach()}, {"h", y.h.detach()}};
  if (p.cell == Cell::kLstm) found.emplace_back("c", y.c.detach());
  for (auto& [name, leaf] : p.Leaves()) found.emplace_back(std::string("gradient of ") + name, leaf.grad().clone());
  return found;
}

// The same numbers in float64.
Problem Wide(const Problem& p) {
  const auto wide = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.detach().to(c10::kDouble).set_requires_grad(true) : tensor;
  };
  const RecurrentWeights& w = p.weights;
  return {p.cell, wide(p.input), wide(p.h0), wide(p.c0), {wide(w.w_ih), wide(w.w_hh), wide(w.b_ih), wide(w.b_hh)}};
}

OperatorProblem Describe(const Problem& p, bool strided, const std::string& words) {
  const auto run = [p](const auto& function, bool time_first) {
    return [p, function, time_first](const std::vector<at::Tensor>& leaves) -> std::vector<at::Tensor> {
      Problem own = {p.cell, {}, {}, {}, {}};
      at::Tensor* const places[] = {&own.input,        &own.h0,           &own.c0,          &own.weights.w_ih,
                                    &own.weights.w_hh, &own.weights.b_ih, &own.weights.b_hh};
      const at::Tensor given[] = {p.input, p.h0, p.c0, p.weights.w_ih, p.weights.w_hh, p.weights.b_ih, p.weights.b_hh};
      for (size_t place = 0, at = 0; place < std::size(places); ++place) {
        if (given[place].defined()) *places[place] = leaves[at++];
      }
      // The same values with time before batch in memory.
      if (time_first) own.input = own.input.transpose(0, 1).contiguous().transpose(0, 1);
      const RecurrentOutput y = function(p.cell, own.input, own.h0, own.c0, own.weights);
      std::vector<at::Tensor> outputs = {y.output, y.h};
      if (y.c.defined()) outputs.push_back(y.c);
      return outputs;
    };
  };
  OperatorProblem problem = {words, {}, run(&Recurrent, strided), run(&RecurrentReference, false)};
  for (const auto& [name, leaf] : p.Leaves()) problem.leaves.push_back({name, leaf});
  return problem;
}

void RunGrid(Cell cell, const OperatorCase::Visit& visit, const std::vector<int64_t>& batches,
             const std::vector<int64_t>& steps, const std::vector<int64_t>& hidden, const std::vector<int64_t>& inputs,
             int threads) {
  const ThreadScope scope(threads);
  int draw = 0;
  for (const int64_t B : batches) {
    for (const int64_t T : steps) {
      for (const int64_t H : hidden) {
        for (const int64_t I : inputs) {
          const bool bias = draw % 3 != 0, state = draw % 2 == 0, strided = draw % 5 == 0;
          ++draw;
          visit(Describe(Make(cell, B, T, I, H, bias, state, c10::kFloat), strided,
                         absl::StrFormat("%s B=%d T=%d H=%d I=%d bias=%d state=%d strided=%d", Name(cell), B, T, H, I,
                                         bias, state, strided)));
        }
      }
    }
  }
}

OperatorCase CaseOf(Cell cell) {
  return {
      .name = Name(cell),
      .tolerance = 2e-5,
      .all =
          [cell](const auto& visit) {
            RunGrid(cell, visit, {0, 1, 3, 65}, {1, 7, 33}, {1, 5, 33}, {1, 4}, 2);
            RunGrid(cell, visit, {1, 13}, {1, 6}, {16, 17, 31, 32, 64}, {15, 24}, 1);
            RunGrid(cell, visit, {3}, {333}, {5, 250}, {7}, 2);
            RunGrid(cell, visit, {65}, {12}, {250}, {129}, 2);
          },
      .few =
          [cell](const auto& visit) {
            RunGrid(cell, visit, {1, 13}, {1, 6}, {3, 20, 33}, {7}, 2);
          },
      .threads =
          [cell](const auto& visit) {
            for (const int64_t H : {33, 64})
              visit(Describe(Make(cell, 41, 9, 20, H, true, false, c10::kFloat), false, absl::StrFormat("H=%d", H)));
          },
      .small = [cell] { return Describe(Make(cell, 5, 7, 3, 18, true, true, c10::kFloat), false, ""); },
  };
}
const RegisterOperatorCase gru(CaseOf(Cell::kGru)), lstm(CaseOf(Cell::kLstm));

// Other instruction sets have other vector widths, and with them other panels and row blocks.
TEST(Recurrent, InstructionSetsOfThisCpuDifferInTheirPanels) {
  size_t sets = 0;
  std::set<int64_t> widths;
  ForEveryInstructionSet([&](const char*) {
    ++sets;
    widths.insert(PanelWidth());
  });
  EXPECT_GE(sets, 1u);
  EXPECT_GE(widths.size(), sets > 2 ? 2u : 1u);
}

// The rows `ids` of a table: folded in float32, gathered by the plain operators in float64.
TEST(Recurrent, ATableIsItsGatheredRows) {
  for (const Cell cell : {Cell::kGru, Cell::kLstm}) {
    for (const auto& [B, T, V, I, H, bias] : std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, bool>>{
             {3, 9, 5, 4, 5, true}, {1, 40, 9, 3, 33, true}, {65, 7, 30, 20, 16, false}, {9, 33, 65, 8, 40, true}}) {
      SCOPED_TRACE(absl::StrFormat("%s B=%d T=%d V=%d I=%d H=%d", Name(cell), B, T, V, I, H));
      const Problem p = Make(cell, B, T, I, H, bias, true, c10::kFloat), wide = Wide(p);
      const at::Tensor table = at::randn({V, I}).set_requires_grad(true);
      const at::Tensor wide_table = table.detach().to(c10::kDouble).set_requires_grad(true);
      const at::Tensor ids = at::randint(V, {B, T}, c10::kLong);
      ASSERT_TRUE(FoldsTable(ids, table));
      LossOf(RecurrentTable(cell, ids, table, p.h0, p.c0, p.weights)).backward();
      LossOf(RecurrentReference(cell, at::embedding(wide_table, ids), wide.h0, wide.c0, wide.weights)).backward();
      const auto expect = [](const char* name, const at::Tensor& got, const at::Tensor& expected) {
        const double size = std::max(1.0, expected.abs().max().item<double>());
        EXPECT_LE((got - expected).abs().max().item<double>(), 2e-5 * size) << name;
      };
      expect("table", table.grad(), wide_table.grad());
      const auto got = p.Leaves(), expected = wide.Leaves();
      for (size_t k = 1; k < got.size(); ++k) expect(got[k].first, got[k].second.grad(), expected[k].second.grad());
    }
  }
}

TEST(Recurrent, ATableGivesTheSameBitsForAnyNumberOfThreads) {
  const Problem p = Make(Cell::kGru, 33, 20, 24, 40, true, false, c10::kFloat);
  const at::Tensor ids = at::randint(65, {33, 20}, c10::kLong);
  std::vector<at::Tensor> first;
  for (const int threads : {1, 2, 3, 5}) {
    const ThreadScope scope(threads);
    const at::Tensor table = at::ones({65, 24}).cumsum(0).sin().set_requires_grad(true);
    for (auto& [name, leaf] : p.Leaves()) leaf.mutable_grad() = at::Tensor();
    const RecurrentOutput y = RecurrentTable(Cell::kGru, ids, table, {}, {}, p.weights);
    LossOf(y).backward();
    std::vector<at::Tensor> results = {y.output.detach(), table.grad()};
    for (const at::Tensor& weight : {p.weights.w_ih, p.weights.w_hh, p.weights.b_ih, p.weights.b_hh})
      results.push_back(weight.grad().clone());
    if (first.empty()) first = results;
    for (size_t k = 0; k < first.size(); ++k)
      EXPECT_TRUE(at::equal(first[k], results[k])) << threads << " threads, result " << k;
  }
}

TEST(Recurrent, IdsThatChangeAfterTheForwardDoNotReachTheBackward) {
  const Problem p = Make(Cell::kGru, 8, 20, 4, 5, true, false, c10::kFloat);
  const auto gradient = [&](bool spoil) {
    const at::Tensor table = at::arange(36, c10::kFloat).sin().reshape({9, 4}).set_requires_grad(true);
    at::Tensor ids = at::arange(160, c10::kLong).remainder(9).reshape({8, 20});
    const RecurrentOutput y = RecurrentTable(Cell::kGru, ids, table, {}, {}, p.weights);
    if (spoil) ids.fill_(50000000);
    LossOf(y).backward();
    return table.grad();
  };
  EXPECT_TRUE(at::equal(gradient(true), gradient(false)));
}

TEST(Recurrent, OnlyWholeIdsAreReadAsATable) {
  const at::Tensor table = at::ones({5, 4});
  EXPECT_TRUE(FoldsTable(at::zeros({8, 20}, c10::kInt), table));
  EXPECT_FALSE(FoldsTable(at::zeros({8, 20}), table));
}

TEST(Recurrent, AnIdOutsideOfTheTableIsNamed) {
  const Problem p = Make(Cell::kGru, 3, 9, 4, 5, true, false, c10::kFloat);
  const at::Tensor table = at::randn({5, 4});
  for (const int64_t id : {5, -1}) {
    at::Tensor ids = at::zeros({3, 9}, c10::kLong);
    ids[1][2] = id;
    try {
      RecurrentTable(Cell::kGru, ids, table, {}, {}, p.weights);
      ADD_FAILURE() << "expected an error";
    } catch (const c10::Error& error) {
      EXPECT_NE(std::string(error.what_without_backtrace())
                    .find(absl::StrFormat("id %d is outside of the table's 5 rows", id)),
                std::string::npos)
          << error.what();
    }
  }
}

TEST(Recurrent, GradientsAreThoseOfFiniteDifferences) {
  for (const Cell cell : {Cell::kGru, Cell::kLstm}) {
    const Problem p = Make(cell, 2, 3, 2, 2, true, true, c10::kDouble);
    const auto value = [&] { return LossOf(Recurrent(cell, p.input, p.h0, p.c0, p.weights)).item<double>(); };
    Results(&Recurrent, p);
    at::NoGradGuard no_grad;
    for (auto& [name, leaf] : p.Leaves()) {
      double* data = leaf.data_ptr<double>();
      for (int64_t i = 0; i < leaf.numel(); ++i) {
        constexpr double kStep = 1e-5;
        const double before = data[i];
        data[i] = before + kStep;
        const double above = value();
        data[i] = before - kStep;
        const double below = value();
        data[i] = before;
        EXPECT_NEAR(leaf.grad().data_ptr<double>()[i], (above - below) / (2 * kStep), 1e-8)
            << Name(cell) << " " << name << " " << i;
      }
    }
  }
}

TEST(Recurrent, WrongShapesAreNamedWithTheTag) {
  for (const Cell cell : {Cell::kGru, Cell::kLstm}) {
    const auto expect = [&](const char* words, const std::function<void(Problem*)>& spoil) {
      Problem p = Make(cell, 3, 4, 2, 5, true, true, c10::kFloat);
      spoil(&p);
      try {
        Recurrent(cell, p.input, p.h0, p.c0, p.weights);
        ADD_FAILURE() << "expected: " << words;
      } catch (const c10::Error& error) {
        const std::string text = error.what_without_backtrace();
        EXPECT_EQ(text.rfind("[" + std::string(Name(cell)) + "] ", 0), 0u) << text;
        EXPECT_NE(text.find(words), std::string::npos) << text;
      }
    };
    expect("input must be (B, T, 2)", [](Problem* p) { p->input = at::ones({3, 4, 3}); });
    expect("input must be (B, T, 2)", [](Problem* p) { p->input = at::ones({3, 2}); });
    expect("at least one time step", [](Problem* p) { p->input = at::ones({3, 0, 2}); });
    expect("initial state must be (3, 5)", [](Problem* p) { p->h0 = at::ones({2, 5}); });
    expect("initial state must be (3, 5)", [](Problem* p) { p->c0 = at::ones({3, 4}); });
    expect("w_hh must be", [](Problem* p) { p->weights.w_hh = at::ones({7, 5}); });
    expect("w_ih must be", [](Problem* p) { p->weights.w_ih = at::ones({7, 2}); });
    expect("both biases or none", [](Problem* p) { p->weights.b_hh = at::Tensor(); });
    expect("biases must be", [](Problem* p) { p->weights.b_hh = at::ones({4}); });
    expect("input is Double", [](Problem* p) { p->input = p->input.to(c10::kDouble); });
  }
}

TEST(Recurrent, SaturatedGatesStayRight) {
  // Pre-activations up to +-4,000: gates must be 0 or 1 and tanh +-1, with finite gradients, in full vectors and the
  // rest.
  for (const Cell cell : {Cell::kGru, Cell::kLstm}) {
    for (const double scale : {30.0, 60.0, 100.0, 200.0, 400.0, 4000.0}) {
      Problem p = Make(cell, 2, 1, 1, 37, true, true, c10::kFloat);
      at::NoGradGuard no_grad;
      p.weights.w_ih.copy_(at::linspace(-scale, scale, p.weights.w_ih.size(0)).unsqueeze(1));
      p.input.fill_(1);
      for (const at::Tensor& zero : {p.weights.w_hh, p.weights.b_ih, p.weights.b_hh}) zero.zero_();
      at::AutoGradMode grad(true);
      SCOPED_TRACE(absl::StrFormat("%s, scale %g", Name(cell), scale));
      const auto expected = Results(&RecurrentReference, Wide(p)), got = Results(&Recurrent, p);
      for (size_t i = 0; i < got.size(); ++i) {
        const double size = std::max(1.0, expected[i].second.abs().max().item<double>());
        EXPECT_LE((got[i].second - expected[i].second).abs().max().item<double>(), 1e-4 * size) << got[i].first;
      }
    }
  }
}

TEST(Recurrent, NanAndInfinityInTheInputReachTheOutput) {
  for (const Cell cell : {Cell::kGru, Cell::kLstm}) {
    for (const auto dtype : {c10::kFloat, c10::kDouble}) {
      for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        const Problem p = Make(cell, 3, 4, 2, 19, true, false, dtype);
        at::NoGradGuard no_grad;
        p.input[1][2][0] = bad;
        const at::Tensor y = Recurrent(cell, p.input, {}, {}, p.weights).output;
        const at::Tensor expected = RecurrentReference(cell, p.input, {}, {}, p.weights).output;
        EXPECT_TRUE(at::equal(at::isnan(y), at::isnan(expected))) << Name(cell) << " " << dtype << " " << bad << "\n"
                                                                  << y[1] << expected[1];
        EXPECT_FALSE(at::isnan(y[0]).any().item<bool>());  // other samples stay clean
      }
    }
  }
}

}  // namespace
}  // namespace lanthorn::kernels
