#include "engine/nn/key_relations.h"

namespace lanthorn::nn {
namespace {
thread_local KeyRelations* innermost = nullptr;
}

KeyRelations::KeyRelations(const at::Tensor& relations) : relations_(relations), outer_(innermost) {
  TORCH_CHECK(relations.defined() && relations.scalar_type() == c10::kLong && relations.dim() == 2,
              "[KeyRelations] expected int64 (B, T), 0 where there is no relation, got ",
              relations.defined() ? c10::str(relations.scalar_type(), " ", relations.sizes()) : "nothing");
  innermost = this;
}

KeyRelations::~KeyRelations() { innermost = outer_; }

at::Tensor KeyRelations::Current(int64_t batch, int64_t length, c10::Device device, const char* layer) {
  TORCH_CHECK(innermost != nullptr, "[", layer,
              "] has tables of relations, but nobody told how the positions are related; call it in "
              "nn.key_relations(relations, ...)");
  const at::Tensor& relations = innermost->relations_;
  TORCH_CHECK(relations.size(0) == batch && relations.size(1) == length, "[KeyRelations] the input has ", batch,
              " samples of ", length, " positions, the relations are ", relations.sizes());
  return relations.to(device);
}

}  // namespace lanthorn::nn
