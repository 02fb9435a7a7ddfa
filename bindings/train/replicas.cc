// train.replica_gradients: one batch's gradients by several threads, each with rows of its own.
#include "engine/train/replicas.h"

#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {
namespace {

nlohmann::json Gradients(const std::shared_ptr<nn::Module>& model, const at::Tensor& x, const at::Tensor& y,
                         int64_t replicas) {
  const train::ReplicaPass pass = Value(train::ReplicaGradients(model, {x, y}, replicas));
  return {
      {"loss", pass.loss}, {"forward_s", pass.forward_s}, {"backward_s", pass.backward_s}, {"reduce_s", pass.reduce_s}};
}

const std::vector<FunctionRow> kRows = {
    {"replica_gradients", "model, x, y, replicas=1",
     "Leaves the gradients of the batch's mean cross entropy in the parameters, computed by so many threads that each "
     "take an equal share of the rows and multiply on one thread; 1 is the ordinary way, on all threads. Gives {loss=, "
     "forward_s=, backward_s=, reduce_s=}, of the slowest replica.",
     Typed<&Gradients>}};

}  // namespace

void RegisterReplicas(lua_State* L) { RegisterRows(L, "train", kRows); }

}  // namespace lanthorn::lua
