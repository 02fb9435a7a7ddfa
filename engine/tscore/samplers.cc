#include "engine/tscore/samplers.h"

#include <ATen/Functions.h>

namespace lanthorn::tscore {
namespace {

// Squares summed over all but dimension 0, accumulated in float64 from rows of the storage dtype.
at::Tensor RowSquares(const at::Tensor& rows) {
  const at::Tensor flat = (rows.dim() == 1 ? rows.unsqueeze(1) : rows.flatten(1)).to(c10::kDouble);
  return (flat * flat).sum(1);
}

class LinearUseImpl final : public Use {
 public:
  LinearUseImpl(at::Tensor input, at::Tensor delta, at::Tensor squares)
      : samples_(input.size(0)), squares_(std::move(squares)) {
    // (N, K, in) and (N, K, out); reshape with explicit sizes also works for empty batches.
    const int64_t in = input.size(-1), out = delta.size(-1);
    int64_t positions = 1;
    for (int64_t d = 1; d + 1 < input.dim(); ++d) positions *= input.size(d);
    input_ = input.reshape({samples_, positions, in});
    delta_ = delta.reshape({samples_, positions, out});
  }
  int64_t samples() const override { return samples_; }

  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    // A weight of more dimensions has them behind the rows, such as (out, in1, in2).
    const at::Tensor rows = tile.dim() == 2 ? tile : tile.view({delta_.size(2), input_.size(2)});
    rows.addmm_(delta_[sample].t(), input_[sample]);
  }

  at::Tensor SampleSquares() const override {
    if (squares_.defined()) return squares_;
    if (input_.size(1) == 1) return RowSquares(input_) * RowSquares(delta_);
    // One GEMM per sample, in blocks that stay below 64 MB.
    const int64_t gradient = input_.size(2) * delta_.size(2);
    const int64_t block = std::max<int64_t>(1, (int64_t{16} << 20) / std::max<int64_t>(1, gradient));
    std::vector<at::Tensor> squares;
    for (int64_t first = 0; first < samples_; first += block) {
      const int64_t count = std::min(block, samples_ - first);
      squares.push_back(
          RowSquares(at::bmm(delta_.narrow(0, first, count).transpose(1, 2), input_.narrow(0, first, count))));
    }
    return squares.empty() ? at::zeros({0}, delta_.options().dtype(c10::kDouble)) : at::cat(squares);
  }

  // Of one position each: (e a^T)^2 = e^2 (a^2)^T, and the sum over samples is one GEMM.
  void AddElementSquares(const at::Tensor& sums) const override {
    if (input_.size(1) != 1) return Use::AddElementSquares(sums);
    const at::Tensor rows = sums.dim() == 2 ? sums : sums.view({delta_.size(2), input_.size(2)});
    rows.addmm_(delta_.select(1, 0).square().t(), input_.select(1, 0).square());
  }

  // <E^T A, sum_k onehot(id_k) d_k^T> = sum_{t, k} E[t, id_k] <a_t, d_k>
  at::Tensor ProductsWith(const RowUse& rows) const override {
    const at::Tensor columns = rows.ids.unsqueeze(1).expand({-1, delta_.size(1), -1});  // (N, T, K)
    const at::Tensor inner = at::bmm(input_, rows.delta.transpose(1, 2)).to(c10::kDouble);
    return (delta_.gather(2, columns).to(c10::kDouble) * inner).flatten(1).sum(1);
  }

 private:
  int64_t samples_;
  at::Tensor input_, delta_, squares_;
};

class BiasUseImpl final : public Use {
 public:
  // The bias has the shape of the last `bias_dims` dimensions of delta.
  BiasUseImpl(const at::Tensor& delta, int64_t bias_dims, at::Tensor squares)
      : samples_(delta.size(0)), delta_(delta), bias_dims_(bias_dims), squares_(std::move(squares)) {}
  int64_t samples() const override { return samples_; }
  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override { tile.add_(Summed()[sample]); }
  at::Tensor SampleSquares() const override { return squares_.defined() ? squares_ : RowSquares(Summed()); }
  void AddElementSquares(const at::Tensor& sums) const override { sums.add_(Summed().square().sum(0)); }

 private:
  const at::Tensor& Summed() const {
    if (!summed_.defined()) {
      summed_ = delta_;
      while (summed_.dim() > bias_dims_ + 1) summed_ = summed_.sum(1);
    }
    return summed_;
  }

  int64_t samples_;
  at::Tensor delta_;
  mutable at::Tensor summed_;
  int64_t bias_dims_;
  at::Tensor squares_;
};

class LazyUseImpl final : public Use {
 public:
  LazyUseImpl(at::Tensor squares, std::function<std::unique_ptr<Use>()> unpack)
      : squares_(std::move(squares)), unpack_(std::move(unpack)) {}
  int64_t samples() const override { return squares_.size(0); }
  at::Tensor SampleSquares() const override { return squares_; }
  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    Unpacked().AddSampleGradient(sample, tile);
  }
  void AddElementSquares(const at::Tensor& sums) const override { Unpacked().AddElementSquares(sums); }
  at::Tensor ProductsWith(const RowUse& rows) const override { return Unpacked().ProductsWith(rows); }

 private:
  const Use& Unpacked() const {
    if (unpacked_ == nullptr) unpacked_ = unpack_();
    return *unpacked_;
  }

  at::Tensor squares_;
  std::function<std::unique_ptr<Use>()> unpack_;
  mutable std::unique_ptr<Use> unpacked_;
};

// Uses of the slices of one parameter (n, ...), one for each node, that all samples make.
class StackedUse final : public Use {
 public:
  explicit StackedUse(std::vector<std::unique_ptr<Use>> nodes) : nodes_(std::move(nodes)) {}
  int64_t samples() const override { return nodes_[0]->samples(); }
  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    for (size_t i = 0; i < nodes_.size(); ++i) nodes_[i]->AddSampleGradient(sample, tile[static_cast<int64_t>(i)]);
  }
  at::Tensor SampleSquares() const override {
    at::Tensor sum = nodes_[0]->SampleSquares();
    for (size_t i = 1; i < nodes_.size(); ++i) sum = sum + nodes_[i]->SampleSquares();
    return sum;
  }
  void AddElementSquares(const at::Tensor& sums) const override {
    for (size_t i = 0; i < nodes_.size(); ++i) nodes_[i]->AddElementSquares(sums[static_cast<int64_t>(i)]);
  }

 private:
  std::vector<std::unique_ptr<Use>> nodes_;
};

class EmbeddingUseImpl final : public Use {
 public:
  EmbeddingUseImpl(const at::Tensor& ids, const at::Tensor& delta, int64_t vocabulary, int64_t padding_idx)
      : vocabulary_(vocabulary) {
    const int64_t channels = delta.size(-1);
    samples_ = ids.size(0);
    const int64_t positions = samples_ == 0 ? 0 : ids.numel() / samples_;
    ids_ = ids.reshape({samples_, positions});
    delta_ = delta.reshape({samples_, positions, channels});
    if (padding_idx >= 0) delta_ = delta_ * ids_.ne(padding_idx).unsqueeze(-1);
  }
  int64_t samples() const override { return samples_; }

  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    tile.index_add_(0, ids_[sample], delta_[sample]);
  }

  // Equal ids inside a sample are summed before squaring: (sample, id) pairs are numbered, rows added per number.
  at::Tensor SampleSquares() const override {
    const at::Tensor owner = at::arange(samples_, ids_.options()).unsqueeze(1);
    const auto [pairs, inverse, counts] =
        at::_unique2((ids_ + owner * vocabulary_).flatten(), /*sorted=*/true, /*return_inverse=*/true);
    const at::Tensor rows = at::zeros({pairs.size(0), delta_.size(2)}, delta_.options())
                                .index_add_(0, inverse.flatten(), delta_.reshape({-1, delta_.size(2)}));
    return at::zeros({samples_}, delta_.options().dtype(c10::kDouble))
        .index_add_(0, at::floor_divide(pairs, vocabulary_), RowSquares(rows));
  }

  std::optional<RowUse> Rows() const override { return RowUse{ids_.to(c10::kLong), delta_}; }

 private:
  int64_t vocabulary_, samples_;
  at::Tensor ids_, delta_;
};

// A sample's gradient of the first rows of a table is its delta itself.
class PositionsUse final : public Use {
 public:
  explicit PositionsUse(const at::Tensor& delta) : delta_(delta) {}
  int64_t samples() const override { return delta_.size(0); }
  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    tile.narrow(0, 0, delta_.size(1)).add_(delta_[sample]);
  }
  at::Tensor SampleSquares() const override { return RowSquares(delta_); }

 private:
  at::Tensor delta_;
};

// A sample's gradient has one element in each column that it took a row of.
class MaxBagsUse final : public Use {
 public:
  // rows and delta (N, C); delta is 0 where nothing was taken.
  MaxBagsUse(const at::Tensor& rows, const at::Tensor& delta) : rows_(rows), delta_(delta) {}
  int64_t samples() const override { return delta_.size(0); }
  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    tile.scatter_add_(0, rows_[sample].unsqueeze(0), delta_[sample].unsqueeze(0));
  }
  at::Tensor SampleSquares() const override { return RowSquares(delta_); }

 private:
  at::Tensor rows_, delta_;
};

}  // namespace

bool Trained(const at::Tensor& parameter) { return parameter.defined() && parameter.requires_grad(); }

Recorder::Ptr Watching(const at::Tensor& y, std::initializer_list<at::Tensor> parameters) {
  Recorder::Ptr recorder = Recorder::Current();
  if (recorder == nullptr || !y.requires_grad()) return nullptr;
  return std::any_of(parameters.begin(), parameters.end(), &Trained) ? recorder : nullptr;
}

std::unique_ptr<Use> LinearUse(const at::Tensor& input, const at::Tensor& delta, at::Tensor squares) {
  return std::make_unique<LinearUseImpl>(input, delta, std::move(squares));
}
std::unique_ptr<Use> BiasUse(const at::Tensor& delta, int64_t bias_dims, at::Tensor squares) {
  return std::make_unique<BiasUseImpl>(delta, bias_dims, std::move(squares));
}

std::unique_ptr<Use> StackedLinearUse(const at::Tensor& input, const at::Tensor& delta) {
  std::vector<std::unique_ptr<Use>> nodes;
  for (int64_t i = 0; i < delta.size(0); ++i)
    nodes.push_back(LinearUse(input.dim() == delta.dim() ? input[i] : input, delta[i]));
  return std::make_unique<StackedUse>(std::move(nodes));
}
std::unique_ptr<Use> StackedBiasUse(const at::Tensor& delta) {
  std::vector<std::unique_ptr<Use>> nodes;
  for (int64_t i = 0; i < delta.size(0); ++i) nodes.push_back(BiasUse(delta[i], 1));
  return std::make_unique<StackedUse>(std::move(nodes));
}

std::unique_ptr<Use> LazyUse(at::Tensor squares, std::function<std::unique_ptr<Use>()> unpack) {
  return std::make_unique<LazyUseImpl>(std::move(squares), std::move(unpack));
}

std::unique_ptr<Use> EmbeddingUse(const at::Tensor& ids, const at::Tensor& delta, int64_t vocabulary,
                                  int64_t padding_idx) {
  return std::make_unique<EmbeddingUseImpl>(ids, delta, vocabulary, padding_idx);
}

void SampleLinear(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight, bias});
  if (recorder == nullptr) return;
  if (x.dim() < 2) return recorder->Refuse(std::string(layer) + ": the input has no sample dimension");
  y.register_hook([recorder, input = x.detach(), weight, bias, layer](const at::Tensor& delta) {
    if (Trained(weight)) recorder->Report(weight, layer, LinearUse(input, delta.detach()));
    if (Trained(bias)) recorder->Report(bias, layer, BiasUse(delta.detach(), 1));
  });
}

void SampleStackedLinear(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight, bias});
  if (recorder == nullptr) return;
  y.register_hook([recorder, input = x.detach(), weight, bias, layer](const at::Tensor& delta) {
    if (Trained(weight)) recorder->Report(weight, layer, StackedLinearUse(input, delta.detach()));
    if (Trained(bias)) recorder->Report(bias, layer, StackedBiasUse(delta.detach()));
  });
}

void SampleEmbedding(const at::Tensor& y, const at::Tensor& ids, const at::Tensor& weight, int64_t padding_idx,
                     const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight});
  if (recorder == nullptr) return;
  if (ids.dim() < 1) return recorder->Refuse(std::string(layer) + ": the ids have no sample dimension");
  y.register_hook([recorder, ids, weight, padding_idx, layer](const at::Tensor& delta) {
    recorder->Report(weight, layer, EmbeddingUse(ids, delta.detach(), weight.size(0), padding_idx));
  });
}

void SamplePositions(const at::Tensor& y, const at::Tensor& weight, const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight});
  if (recorder == nullptr) return;
  y.register_hook([recorder, weight, layer](const at::Tensor& delta) {
    recorder->Report(weight, layer, std::make_unique<PositionsUse>(delta.detach()));
  });
}

void SampleScale(const at::Tensor& y, const at::Tensor& normalized, const at::Tensor& weight, const at::Tensor& bias,
                 const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight, bias});
  if (recorder == nullptr) return;
  const int64_t dims = (weight.defined() ? weight : bias).dim();
  if (y.dim() <= dims) return recorder->Refuse(std::string(layer) + ": the input has no sample dimension");
  y.register_hook([recorder, dims, normalized = normalized.detach(), weight, bias, layer](const at::Tensor& delta) {
    if (Trained(weight)) recorder->Report(weight, layer, BiasUse(delta.detach() * normalized, dims));
    if (Trained(bias)) recorder->Report(bias, layer, BiasUse(delta.detach(), dims));
  });
}

void SampleChannels(const at::Tensor& y, const at::Tensor& normalized, const at::Tensor& weight, const at::Tensor& bias,
                    const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight, bias});
  if (recorder == nullptr) return;
  if (y.dim() < 2) return recorder->Refuse(std::string(layer) + ": the input has no sample dimension");
  // The sum over positions, (N, C) or (N, 1).
  const auto channels = [](const at::Tensor& rows, int64_t count) {
    const at::Tensor sums = rows.dim() > 2 ? rows.flatten(2).sum(2) : rows;
    return count == 1 ? sums.sum(1, /*keepdim=*/true) : sums;
  };
  y.register_hook([=, normalized = normalized.detach()](const at::Tensor& delta) {
    if (Trained(weight))
      recorder->Report(weight, layer, BiasUse(channels(delta.detach() * normalized, weight.numel()), 1));
    if (Trained(bias)) recorder->Report(bias, layer, BiasUse(channels(delta.detach(), bias.numel()), 1));
  });
}

void SampleBilinear(const at::Tensor& y, const at::Tensor& x1, const at::Tensor& x2, const at::Tensor& weight,
                    const at::Tensor& bias, const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight, bias});
  if (recorder == nullptr) return;
  if (y.dim() < 2) return recorder->Refuse(std::string(layer) + ": the input has no sample dimension");
  y.register_hook([=, x1 = x1.detach(), x2 = x2.detach()](const at::Tensor& delta) {
    if (Trained(weight)) {
      // Linear in the products of both inputs.
      const at::Tensor products = (x1.unsqueeze(-1) * x2.unsqueeze(-2)).flatten(-2);
      recorder->Report(weight, layer, LinearUse(products, delta.detach()));
    }
    if (Trained(bias)) recorder->Report(bias, layer, BiasUse(delta.detach(), 1));
  });
}

void SampleBags(const at::Tensor& y, const at::Tensor& ids, const at::Tensor& share, const at::Tensor& weight,
                const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight});
  if (recorder == nullptr) return;
  y.register_hook([=, share = share.detach()](const at::Tensor& delta) {
    const at::Tensor rows = delta.detach().unsqueeze(1) * share.to(delta.scalar_type()).unsqueeze(2);
    recorder->Report(weight, layer, EmbeddingUse(ids, rows, weight.size(0)));
  });
}

void SampleMaxBags(const at::Tensor& y, const at::Tensor& rows, const at::Tensor& taken, const at::Tensor& weight,
                   const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight});
  if (recorder == nullptr) return;
  y.register_hook([=](const at::Tensor& delta) {
    recorder->Report(weight, layer, std::make_unique<MaxBagsUse>(rows, delta.detach() * taken.unsqueeze(1)));
  });
}

void SampleStackedScale(const at::Tensor& y, const at::Tensor& normalized, const at::Tensor& weight,
                        const at::Tensor& bias, const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight, bias});
  if (recorder == nullptr) return;
  y.register_hook([recorder, normalized = normalized.detach(), weight, bias, layer](const at::Tensor& delta) {
    if (Trained(weight)) recorder->Report(weight, layer, StackedBiasUse(delta.detach() * normalized));
    if (Trained(bias)) recorder->Report(bias, layer, StackedBiasUse(delta.detach()));
  });
}

}  // namespace lanthorn::tscore
