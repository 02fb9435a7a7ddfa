// Rows of a table by id. Initial values as torch.nn.Embedding: N(0, 1), the padding row zero.
#include <ATen/Functions.h>

#include "engine/nn/ids.h"
#include "engine/nn/layer.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

class Embedding final : public Module {
 public:
  Embedding(int64_t count, int64_t channels, int64_t padding_idx)
      : Module("Embedding"),
        weight_(RegisterParameter("weight", at::empty({count, channels}))),
        padding_idx_(padding_idx) {
    at::NoGradGuard no_grad;
    weight_.normal_();
    if (padding_idx_ >= 0) weight_[padding_idx_].zero_();
  }

  at::Tensor Compute(const at::Tensor& ids, State* state) override {
    CheckIds(ids, weight_.size(0), "Embedding");
    const at::Tensor y = at::embedding(weight_, ids, padding_idx_);
    tscore::SampleEmbedding(y, ids, weight_, padding_idx_, "Embedding");
    return y;
  }

  at::Tensor RowTable() const override { return padding_idx_ < 0 ? weight_ : at::Tensor(); }

  std::string Describe() const override {
    return absl::StrCat("Embedding(", weight_.size(0), ", ", weight_.size(1), ")");
  }

 protected:
  bool DecodesItself() const override { return true; }

 private:
  at::Tensor& weight_;
  int64_t padding_idx_;
};

LANTHORN_LAYER(
    "Embedding(int num_embeddings, int embedding_dim, int padding_idx=-1)",
    "Rows of a table by id. in ids (...), integers from 0; out (..., embedding_dim). padding_idx=-1 means none; its "
    "row is zero and gets no gradient. Initial values N(0, 1) as torch.nn.Embedding.",
    "nn.Embedding{65, 8}(torch.tensor({1, 2}, {dtype='int64'}))",
    [](int64_t num_embeddings, int64_t embedding_dim, int64_t padding_idx) {
      TORCH_CHECK(num_embeddings > 0 && embedding_dim > 0, "[Embedding] sizes must be positive, got ", num_embeddings,
                  " and ", embedding_dim);
      TORCH_CHECK(padding_idx >= -1 && padding_idx < num_embeddings, "[Embedding] padding_idx must be -1 or below ",
                  num_embeddings, ", got ", padding_idx);
      return std::make_shared<Embedding>(num_embeddings, embedding_dim, padding_idx);
    });

}  // namespace
}  // namespace lanthorn::nn
