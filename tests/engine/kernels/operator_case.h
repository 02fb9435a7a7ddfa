// A fused operator as one row: how its problems are drawn, what it computes, and the plain operators that it must
// equal. The suite OperatorCasesTest (operator_cases_test.cc) runs every row: outputs, gradients and the samples'
// norms against float64, on every instruction set, on any number of threads, twice through one graph.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace lanthorn::kernels {

struct Leaf {
  std::string name;
  at::Tensor tensor;       // float32 with a gradient
  bool parameter = false;  // its gradient is also taken by samples
};

struct OperatorProblem {
  // The outputs for leaves in the order of `leaves`.
  using Function = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& leaves)>;

  std::string words;  // sizes and options, for messages
  std::vector<Leaf> leaves;
  Function fused;  // of float32
  Function plain;  // of float64, with the same random numbers
};

struct OperatorCase {
  using Visit = std::function<void(const OperatorProblem&)>;

  std::string name;
  double tolerance;                           // of every output and gradient, relative to its largest number
  double sample_tolerance = 0;                // of every sample's squared norm, relative to it
  std::function<void(const Visit&)> all;      // problems of all shapes: odd, empty, large
  std::function<void(const Visit&)> few;      // those that every instruction set is tried with
  std::function<void(const Visit&)> threads;  // those that are worth several threads
  std::function<OperatorProblem()> small;
  std::string tag = {};  // in its messages: "[attention] has no second derivative"; empty: the name
};

inline std::vector<OperatorCase>& OperatorCases() {
  static std::vector<OperatorCase> cases;
  return cases;
}

struct RegisterOperatorCase {
  explicit RegisterOperatorCase(OperatorCase one) { OperatorCases().push_back(std::move(one)); }
};

}  // namespace lanthorn::kernels
