// Where in a sequence a row stands: learned rows, or sines.
#include <ATen/Functions.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/nn/decoding.h"
#include "engine/nn/layer.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

class PositionalEmbedding final : public Module {
 public:
  PositionalEmbedding(int64_t length, int64_t size)
      : Module("PositionalEmbedding"), weight_(RegisterParameter("weight", at::empty({length, size}))) {
    at::NoGradGuard no_grad;
    weight_.normal_();
  }

  at::Tensor Compute(const at::Tensor& input, State*) override {
    TORCH_CHECK(input.dim() == 3 && input.size(2) == weight_.size(1), "[PositionalEmbedding] input must be (B, T, ",
                weight_.size(1), "), got ", input.sizes());
    const int64_t past = Decoding::Current() != nullptr ? Decoding::Current()->past() : 0;
    TORCH_CHECK(past + input.size(1) <= weight_.size(0), "[PositionalEmbedding] there are positions for ",
                weight_.size(0), " steps (max_len), the sequence has ", past + input.size(1),
                "; shorten it or make max_len larger");
    const at::Tensor y = input + weight_.narrow(0, past, input.size(1));
    tscore::SamplePositions(y, weight_, "PositionalEmbedding");
    return y;
  }
  int64_t MaxLength() const override { return weight_.size(0); }

  std::string Describe() const override {
    return absl::StrCat("PositionalEmbedding(", weight_.size(0), ", ", weight_.size(1), ")");
  }

 protected:
  bool DecodesItself() const override { return true; }

 private:
  at::Tensor& weight_;
};

class SinusoidalPositions final : public Module {
 public:
  explicit SinusoidalPositions(int64_t size) : Module("SinusoidalPositions"), size_(size) {}

  at::Tensor Compute(const at::Tensor& input, State*) override {
    TORCH_CHECK(input.dim() == 3 && input.size(2) == size_, "[SinusoidalPositions] input must be (B, T, ", size_,
                "), got ", input.sizes());
    const int64_t past = Decoding::Current() != nullptr ? Decoding::Current()->past() : 0;
    const int64_t length = past + input.size(1);
    if (!rows_.defined() || rows_.size(0) < length || rows_.options().type_equal(input.options()) == false ||
        rows_.device() != input.device()) {
      rows_ = Rows(std::max<int64_t>(length, 128)).to(input.options());
    }
    return input + rows_.narrow(0, past, input.size(1));
  }

  std::string Describe() const override { return absl::StrFormat("SinusoidalPositions(%d)", size_); }

 protected:
  bool DecodesItself() const override { return true; }

 private:
  at::Tensor Rows(int64_t length) const {
    const at::Tensor rows = at::zeros({length, size_}, c10::kDouble);
    for (int64_t i = 0; i < size_; ++i) {
      const double rate = std::pow(10000.0, -static_cast<double>(i / 2 * 2) / static_cast<double>(size_));
      const at::Tensor angle = at::arange(length, c10::kDouble) * rate;
      rows.select(1, i).copy_(i % 2 == 0 ? angle.sin() : angle.cos());
    }
    return rows;
  }

  int64_t size_;
  at::Tensor rows_;  // of the longest sequence so far
};

const RegisterLayer positional_embedding(
    {"PositionalEmbedding(int max_len, int embed_dim)",
     "Adds a learned row to each position: y[b, t] = x[b, t] + weight[t]. in and out (B, T, embed_dim) with T at most "
     "max_len. Initial values N(0, 1), as torch.nn.Embedding.",
     "nn.PositionalEmbedding{16, 8}(torch.randn{3, 5, 8})", [](int64_t max_len, int64_t embed_dim) {
       TORCH_CHECK(max_len > 0 && embed_dim > 0, "[PositionalEmbedding] sizes must be positive, got ", max_len, " and ",
                   embed_dim);
       return std::make_shared<PositionalEmbedding>(max_len, embed_dim);
     }});
const RegisterLayer sinusoidal_positions(
    {"SinusoidalPositions(int embed_dim)",
     "Adds sin(t / 10000^(2i / embed_dim)) to channel 2i and the cosine to channel 2i + 1. in and out (B, T, "
     "embed_dim), T of any size. No parameters. Vaswani et al. 2017.",
     "nn.SinusoidalPositions{8}(torch.randn{3, 5, 8})", [](int64_t embed_dim) {
       TORCH_CHECK(embed_dim > 0, "[SinusoidalPositions] embed_dim must be positive, got ", embed_dim);
       return std::make_shared<SinusoidalPositions>(embed_dim);
     }});

}  // namespace
}  // namespace lanthorn::nn
