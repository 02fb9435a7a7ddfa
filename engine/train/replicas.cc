#include "engine/train/replicas.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/train/loss/losses.h"

namespace lanthorn::train {
namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// LibTorch's threads, back as they were at the end of its life. Threads that begin meanwhile start with the same
// number.
class ThreadsScope {
 public:
  explicit ThreadsScope(int threads) : before_(at::get_num_threads()) { at::set_num_threads(threads); }
  ~ThreadsScope() { at::set_num_threads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_;
};

struct Replica {
  std::vector<at::Tensor> gradients;  // in the order of the parameters; undefined where there is none
  double loss = 0, forward_s = 0, backward_s = 0;
  absl::Status status;
  std::exception_ptr thrown;
};

void Run(const LossFn& loss, const data::Batch& rows, const std::vector<at::Tensor>& parameters, Replica* replica) {
  try {
    const Clock::time_point start = Clock::now();
    const absl::StatusOr<Loss> found = loss(rows);
    replica->forward_s = Since(start);
    if (!found.ok()) {
      replica->status = found.status();
      return;
    }
    replica->loss = found->mean.item<double>();
    const Clock::time_point middle = Clock::now();
    replica->gradients = torch::autograd::grad({found->mean}, parameters, {}, /*retain_graph=*/{},
                                               /*create_graph=*/false, /*allow_unused=*/true);
    replica->backward_s = Since(middle);
  } catch (...) {
    replica->thrown = std::current_exception();
  }
}

}  // namespace

absl::StatusOr<ReplicaPass> ReplicaGradients(const std::shared_ptr<nn::Module>& model, const data::Batch& batch,
                                             int64_t replicas) {
  const int64_t rows = batch.x.size(0);
  if (replicas < 1 || rows % replicas != 0)
    return ConfigError(absl::StrFormat("replicas: %d rows cannot be divided evenly among %d replicas", rows, replicas));
  if (model->HoldsScripted())
    return ConfigError("replicas: the model has a forward in Lua, which only one thread may call");
  LANTHORN_ASSIGN_OR_RETURN(const LossFn loss, NamedLoss("cross_entropy", model));
  std::vector<at::Tensor> parameters;
  for (const nn::NamedParameter& parameter : model->Parameters()) {
    if (parameter.tensor.requires_grad()) parameters.push_back(parameter.tensor);
  }
  std::vector<Replica> all(static_cast<size_t>(replicas));
  const auto part = [&](int64_t i) {
    const int64_t count = rows / replicas;
    return data::Batch{batch.x.narrow(0, i * count, count), batch.y.narrow(0, i * count, count)};
  };
  if (replicas == 1) {
    Run(loss, batch, parameters, &all[0]);
  } else {
    const ThreadsScope one(1);
    std::vector<std::thread> threads;
    for (int64_t i = 0; i < replicas; ++i)
      threads.emplace_back([&, i] { Run(loss, part(i), parameters, &all[static_cast<size_t>(i)]); });
    for (std::thread& thread : threads) thread.join();
  }
  ReplicaPass pass;
  for (const Replica& replica : all) {
    if (replica.thrown) std::rethrow_exception(replica.thrown);
    LANTHORN_RETURN_IF_ERROR(replica.status);
    pass.loss += replica.loss / static_cast<double>(replicas);
    pass.forward_s = std::max(pass.forward_s, replica.forward_s);
    pass.backward_s = std::max(pass.backward_s, replica.backward_s);
  }
  const Clock::time_point start = Clock::now();
  const at::NoGradGuard no_grad;
  for (size_t p = 0; p < parameters.size(); ++p) {
    at::Tensor sum = all[0].gradients[p];
    for (size_t i = 1; i < all.size(); ++i) sum.add_(all[i].gradients[p]);
    if (replicas > 1 && sum.defined()) sum.div_(static_cast<double>(replicas));
    parameters[p].mutable_grad() = sum;
  }
  pass.reduce_s = Since(start);
  return pass;
}

}  // namespace lanthorn::train
