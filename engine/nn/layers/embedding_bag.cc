// Sums, means or maxima of rows of a table. Initial values as torch.nn.EmbeddingBag: N(0, 1), the padding row zero.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "absl/strings/str_cat.h"
#include "engine/base/torch_compat.h"
#include "engine/nn/ids.h"
#include "engine/nn/layer.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

enum class Mode : int64_t { kSum = 0, kMean = 1, kMax = 2 };  // the numbers of at::embedding_bag

class EmbeddingBag final : public Module {
 public:
  EmbeddingBag(int64_t count, int64_t channels, Mode mode, bool include_last_offset, int64_t padding_idx)
      : Module("EmbeddingBag"),
        weight_(RegisterParameter("weight", at::empty({count, channels}))),
        mode_(mode),
        include_last_(include_last_offset),
        padding_idx_(padding_idx) {
    const at::NoGradGuard no_grad;
    weight_.normal_();
    if (padding_idx_ >= 0) weight_[padding_idx_].zero_();
  }

  int64_t MostInputs() const override { return 3; }
  at::Tensor Compute(const at::Tensor& ids, State*) override { return ForwardAll({ids}); }

  at::Tensor ForwardAll(const std::vector<at::Tensor>& inputs) override {
    const at::Tensor ids = inputs.at(0);
    at::Tensor offsets = inputs.size() > 1 ? inputs[1] : at::Tensor();
    at::Tensor factors = inputs.size() > 2 ? inputs[2] : at::Tensor();
    TORCH_CHECK(ids.defined(), "[EmbeddingBag] called without ids");
    CheckIds(ids, weight_.size(0), "EmbeddingBag");
    TORCH_CHECK(!factors.defined() || (mode_ == Mode::kSum && factors.sizes() == ids.sizes()),
                "[EmbeddingBag] per_sample_weights need mode='sum' and the shape of the ids");
    at::Tensor flat = ids;
    if (ids.dim() == 2) {
      TORCH_CHECK(!offsets.defined(), "[EmbeddingBag] ids (B, L) are bags already and take no offsets");
      offsets = at::arange(0, ids.numel() + (include_last_ ? 1 : 0), std::max<int64_t>(1, ids.size(1)), ids.options());
      if (ids.size(1) == 0) offsets = at::zeros({ids.size(0) + (include_last_ ? 1 : 0)}, ids.options());
      flat = ids.reshape({-1});
      if (factors.defined()) factors = factors.reshape({-1});
    } else {
      TORCH_CHECK(ids.dim() == 1 && offsets.defined() && offsets.dim() == 1,
                  "[EmbeddingBag] ids must be (B, L), or (L) with offsets (B), got ids ", ids.sizes(),
                  offsets.defined() ? "" : " without offsets");
      CheckOffsets(offsets, ids.numel());
    }
    // A negative number would count from the end.
    const compat::Optional<int64_t> padding =
        padding_idx_ >= 0 ? compat::Optional<int64_t>(padding_idx_) : compat::kNullopt;
    const auto [y, owner, sizes, rows] =
        at::embedding_bag(weight_, flat, offsets.to(flat.scalar_type()), /*scale_grad_by_freq=*/false,
                          static_cast<int64_t>(mode_), /*sparse=*/false, factors, include_last_, padding);
    if (tscore::Watching(y, {weight_}) != nullptr) Sample(y, flat, offsets.to(c10::kLong), factors, rows);
    return y;
  }

  std::string Describe() const override {
    const char* const words[] = {"sum", "mean", "max"};
    return absl::StrCat("EmbeddingBag(", weight_.size(0), ", ", weight_.size(1), ", mode='",
                        words[static_cast<int64_t>(mode_)], "')");
  }

 private:
  void CheckOffsets(const at::Tensor& offsets, int64_t length) const {
    if (!offsets.device().is_cpu()) return;
    const at::Tensor o = offsets.to(c10::kLong).contiguous();
    const int64_t* const at = o.data_ptr<int64_t>();
    TORCH_CHECK(o.numel() > 0 || length == 0, "[EmbeddingBag] no offsets for ", length, " ids");
    for (int64_t i = 0; i < o.numel(); ++i) {
      TORCH_CHECK(at[i] >= (i == 0 ? 0 : at[i - 1]) && at[i] <= length && (i > 0 || at[i] == 0),
                  "[EmbeddingBag] offsets must begin with 0, never fall and end within the ", length, " ids, got ",
                  at[i], " at ", i);
    }
    TORCH_CHECK(!include_last_ || at[o.numel() - 1] == length,
                "[EmbeddingBag] with include_last_offset the last offset must be the number of ids, ", length, ", got ",
                at[o.numel() - 1]);
  }

  // The bags as rows of a rectangle: id k of bag i counts with a share of it.
  void Sample(const at::Tensor& y, const at::Tensor& flat, const at::Tensor& offsets, const at::Tensor& factors,
              const at::Tensor& rows) const {
    const at::NoGradGuard no_grad;
    const int64_t bags = y.size(0);
    const at::Tensor begin = offsets.narrow(0, 0, bags);
    const at::Tensor end =
        at::cat({offsets.slice(0, 1), at::full({include_last_ ? 0 : 1}, flat.numel(), offsets.options())});
    const int64_t longest = bags > 0 ? (end - begin).max().item<int64_t>() : 0;
    const at::Tensor place = begin.unsqueeze(1) + at::arange(longest, offsets.options());  // (B, K)
    at::Tensor there = place.lt(end.unsqueeze(1));
    const at::Tensor safe = at::where(there, place, at::zeros_like(place));
    const at::Tensor ids = flat.numel() > 0 ? flat.to(c10::kLong).index_select(0, safe.reshape({-1})).view(safe.sizes())
                                            : at::zeros_like(safe);
    if (padding_idx_ >= 0) there = there.logical_and(ids.ne(padding_idx_));
    if (mode_ == Mode::kMax)
      return tscore::SampleMaxBags(y, rows.to(c10::kLong), there.any(1), weight_, "EmbeddingBag");
    at::Tensor share = there.to(y.scalar_type());
    if (mode_ == Mode::kMean) share = share / share.sum(1, /*keepdim=*/true).clamp_min(1);
    if (factors.defined()) share = share * factors.detach().index_select(0, safe.reshape({-1})).view(safe.sizes());
    tscore::SampleBags(y, ids, share, weight_, "EmbeddingBag");
  }

  at::Tensor& weight_;
  Mode mode_;
  bool include_last_;
  int64_t padding_idx_;
};

LANTHORN_LAYER(
    "EmbeddingBag(int num_embeddings, int embedding_dim, str mode='mean', bool include_last_offset=False, int "
    "padding_idx=-1)",
    "The sum, mean or max of the rows of each bag of ids, called as layer(ids, offsets, per_sample_weights). in ids "
    "(B, "
    "L), or (L) with offsets (B), where each bag begins; out (B, embedding_dim), 0 for an empty bag. "
    "per_sample_weights, "
    "of the shape of ids, multiply the rows of mode='sum'. padding_idx=-1 means none; its row counts for nothing. "
    "Initial values N(0, 1) as torch.nn.EmbeddingBag.",
    "nn.EmbeddingBag{10, 4, mode='sum'}(torch.tensor({1, 2, 4, 5}, {dtype='int64'}), torch.tensor({0, 3}, "
    "{dtype='int64'}))",
    [](int64_t num_embeddings, int64_t embedding_dim, const std::string& mode, bool include_last_offset,
       int64_t padding_idx) {
      TORCH_CHECK(num_embeddings > 0 && embedding_dim > 0, "[EmbeddingBag] sizes must be positive, got ",
                  num_embeddings, " and ", embedding_dim);
      TORCH_CHECK(mode == "sum" || mode == "mean" || mode == "max",
                  "[EmbeddingBag] mode must be 'sum', 'mean' or 'max', got '", mode, "'");
      TORCH_CHECK(padding_idx >= -1 && padding_idx < num_embeddings, "[EmbeddingBag] padding_idx must be -1 or below ",
                  num_embeddings, ", got ", padding_idx);
      return std::make_shared<EmbeddingBag>(num_embeddings, embedding_dim,
                                            mode == "sum"    ? Mode::kSum
                                            : mode == "mean" ? Mode::kMean
                                                             : Mode::kMax,
                                            include_last_offset, padding_idx);
    });

}  // namespace
}  // namespace lanthorn::nn
