#include "engine/device/op_cost.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <chrono>
#include <functional>

namespace lanthorn::device {
namespace {

template <typename Call>
double SecondsPerCall(int64_t calls, Call call) {
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < calls; ++i) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / static_cast<double>(calls);
}

}  // namespace

std::vector<OpCost> NativeOpCosts(int64_t calls) {
  calls = std::max<int64_t>(calls, 1);
  at::Tensor x = at::rand({4, 4}), y = at::rand({4, 4});
  const at::TensorOptions options;
  return {{"add", SecondsPerCall(calls, [&] { at::add(x, y); })},
          {"add_number", SecondsPerCall(calls, [&] { at::add(x, 2.0); })},
          {"add_", SecondsPerCall(calls, [&] { x.add_(y); })},
          {"relu", SecondsPerCall(calls, [&] { at::relu(x); })},
          {"sum", SecondsPerCall(calls, [&] { at::sum(x, 1, /*keepdim=*/true); })},
          {"softmax", SecondsPerCall(calls, [&] { at::softmax(x, -1); })},
          {"matmul", SecondsPerCall(calls, [&] { at::matmul(x, y); })},
          {"view", SecondsPerCall(calls,
                                  [&] {
                                    x.view({2, 8});
                                  })},
          {"cat", SecondsPerCall(calls,
                                 [&] {
                                   at::cat({x, y}, 0);
                                 })},
          {"zeros", SecondsPerCall(calls, [&] {
             at::zeros({4, 4}, options);
           })}};
}

}  // namespace lanthorn::device
