// Norms of channels, dimension 1: BatchNorm1d and BatchNorm2d (Ioffe and Szegedy 2015), GroupNorm (Wu and He 2018).
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "absl/strings/str_format.h"
#include "engine/nn/layer.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

class BatchNorm final : public Module {
 public:
  BatchNorm(const char* kind, int64_t channels, double eps, double momentum, bool affine, bool track)
      : Module(kind), kind_(kind), channels_(channels), eps_(eps), momentum_(momentum) {
    if (affine) {
      weight_ = &RegisterParameter("weight", at::ones({channels}));
      bias_ = &RegisterParameter("bias", at::zeros({channels}));
    }
    if (!track) return;
    mean_ = &RegisterBuffer("running_mean", at::zeros({channels}));
    variance_ = &RegisterBuffer("running_var", at::ones({channels}));
    batches_ = &RegisterBuffer("num_batches_tracked", at::zeros({}, c10::kLong));
  }

  at::Tensor Compute(const at::Tensor& input, State*) override {
    const bool flat = kind() == "BatchNorm1d";
    TORCH_CHECK((flat ? input.dim() == 2 || input.dim() == 3 : input.dim() == 4) && input.size(1) == channels_, "[",
                kind_, "] input must be ", flat ? "(N, C) or (N, C, L)" : "(N, C, H, W)", " with C = ", channels_,
                ", got ", input.sizes());
    const bool of_batch = training() || mean_ == nullptr;
    if (of_batch) {
      TORCH_CHECK(input.numel() != channels_, "[", kind_,
                  "] in training mode there must be more than one value per channel, got ", input.sizes());
      if (const auto recorder = tscore::Recorder::Current()) recorder->Refuse(Mixes(input.dim() > 2));
    }
    if (training() && batches_ != nullptr) {
      const at::NoGradGuard no_grad;
      batches_->add_(1);
    }
    const at::Tensor y = Normalize(input, Value(weight_), Value(bias_), of_batch, Value(mean_), Value(variance_));
    if (!of_batch && tscore::Watching(y, {Value(weight_), Value(bias_)}) != nullptr) {
      tscore::SampleChannels(y, Normalize(input.detach(), {}, {}, false, Value(mean_), Value(variance_)),
                             Value(weight_), Value(bias_), kind_);
    }
    return y;
  }

  std::string Describe() const override { return absl::StrFormat("%s(%d)", kind_, channels_); }

 private:
  static at::Tensor Value(const at::Tensor* tensor) { return tensor != nullptr ? *tensor : at::Tensor(); }

  // A sample without positions has one value a channel, by which a batch of its own cannot be normalised.
  std::string Mixes(bool has_positions) const {
    return absl::StrFormat(
        "%s in training mode normalises each sample by the statistics of the whole batch, so that no sample has a "
        "gradient of its own; use nn.GroupNorm or nn.LayerNorm, or put this layer in eval mode%s",
        kind_,
        has_positions ? ", or use tscore.mode='loop', which takes each sample as a batch of its own, normalised by its "
                        "own values alone"
                      : "");
  }

  at::Tensor Normalize(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias, bool of_batch,
                       const at::Tensor& mean, const at::Tensor& variance) const {
    return at::batch_norm(input, weight, bias, mean, variance, of_batch, momentum_, eps_, /*cudnn_enabled=*/true);
  }

  const char* kind_;
  int64_t channels_;
  double eps_, momentum_;
  at::Tensor *weight_ = nullptr, *bias_ = nullptr;
  at::Tensor *mean_ = nullptr, *variance_ = nullptr, *batches_ = nullptr;
};

class GroupNorm final : public Module {
 public:
  GroupNorm(int64_t groups, int64_t channels, double eps, bool affine)
      : Module("GroupNorm"), groups_(groups), channels_(channels), eps_(eps) {
    if (!affine) return;
    RegisterParameter("weight", at::ones({channels}));
    RegisterParameter("bias", at::zeros({channels}));
  }

  at::Tensor Compute(const at::Tensor& input, State*) override {
    TORCH_CHECK(input.dim() >= 2 && input.size(1) == channels_, "[GroupNorm] input must be (N, ", channels_,
                ", ...), got ", input.sizes());
    const at::Tensor weight = Own("weight"), bias = Own("bias");
    const at::Tensor y = at::group_norm(input, groups_, weight, bias, eps_);
    if (tscore::Watching(y, {weight, bias}) != nullptr)
      tscore::SampleChannels(y, at::group_norm(input.detach(), groups_, {}, {}, eps_), weight, bias, "GroupNorm");
    return y;
  }

  std::string Describe() const override { return absl::StrFormat("GroupNorm(%d, %d)", groups_, channels_); }

 private:
  int64_t groups_, channels_;
  double eps_;
};

LayerMaker BatchNormMaker(const char* kind) {
  return [kind](int64_t num_features, double eps, double momentum, bool affine, bool track_running_stats) {
    TORCH_CHECK(num_features > 0 && eps >= 0, "[", kind, "] num_features must be positive and eps not negative, got ",
                num_features, " and ", eps);
    TORCH_CHECK(momentum >= 0 && momentum <= 1, "[", kind, "] momentum must be in [0, 1], got ", momentum);
    return std::make_shared<BatchNorm>(kind, num_features, eps, momentum, affine, track_running_stats);
  };
}

#define LANTHORN_BATCH_NORM_DOC                                                                                       \
  "y = (x - mean) / sqrt(var + eps) * weight + bias for each channel: mean and variance of the batch in training "    \
  "mode, "                                                                                                            \
  "running averages of them in eval mode. It has no T-Score in training mode, since each sample's output depends on " \
  "the others; nn.GroupNorm has. "
const RegisterLayer batch_norm1d(
    {"BatchNorm1d(int num_features, float eps=1e-05, float momentum=0.1, bool affine=True, bool "
     "track_running_stats=True)",
     LANTHORN_BATCH_NORM_DOC "in and out (N, C) or (N, C, L).", "nn.BatchNorm1d{4}(torch.randn{8, 4})",
     BatchNormMaker("BatchNorm1d")});
const RegisterLayer batch_norm2d(
    {"BatchNorm2d(int num_features, float eps=1e-05, float momentum=0.1, bool affine=True, bool "
     "track_running_stats=True)",
     LANTHORN_BATCH_NORM_DOC "in and out (N, C, H, W).", "nn.BatchNorm2d{3}(torch.randn{2, 3, 4, 4})",
     BatchNormMaker("BatchNorm2d")});
#undef LANTHORN_BATCH_NORM_DOC
const RegisterLayer group_norm(
    {"GroupNorm(int num_groups, int num_channels, float eps=1e-05, bool affine=True)",
     "y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over all values of a group of channels "
     "in one sample. in and out (N, num_channels, ...). Weight 1, bias 0 at first.",
     "nn.GroupNorm{2, 4}(torch.randn{3, 4, 5, 5})",
     [](int64_t num_groups, int64_t num_channels, double eps, bool affine) {
       TORCH_CHECK(num_groups > 0 && num_channels > 0 && num_channels % num_groups == 0,
                   "[GroupNorm] num_groups must divide num_channels, got ", num_groups, " groups for ", num_channels);
       TORCH_CHECK(eps >= 0, "[GroupNorm] eps must not be negative, got ", eps);
       return std::make_shared<GroupNorm>(num_groups, num_channels, eps, affine);
     }});

}  // namespace
}  // namespace lanthorn::nn
