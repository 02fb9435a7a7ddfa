// Conv1d, Conv2d, ConvTranspose1d and ConvTranspose2d. Initial values as torch.nn's: Kaiming uniform weights, then the
// bias.
#include <ATen/Functions.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/nn/init.h"
#include "engine/nn/layer.h"
#include "engine/tscore/conv_samplers.h"

namespace lanthorn::nn {
namespace {

using Sizes = std::vector<int64_t>;

struct ConvShape {
  int64_t in = 0, out = 0;
  Sizes kernel, stride, padding, dilation, output_padding;
  int64_t groups = 1;
  bool bias = true, transposed = false;
  std::string padding_mode = "zeros";
};

constexpr int64_t kSame = kSamePadding;

void CheckAll(const char* kind, const char* what, const Sizes& numbers, int64_t least) {
  for (const int64_t number : numbers) {
    TORCH_CHECK(number >= least, "[", kind, "] ", what, " must be at least ", least, ", got ",
                absl::StrJoin(numbers, " x "));
  }
}

void CheckShape(const char* kind, const ConvShape& s) {
  TORCH_CHECK(s.in > 0 && s.out > 0, "[", kind, "] channels must be positive, got ", s.in, " and ", s.out);
  CheckAll(kind, "kernel_size", s.kernel, 1);
  CheckAll(kind, "stride", s.stride, 1);
  CheckAll(kind, "dilation", s.dilation, 1);
  const bool same = s.padding[0] == kSame;
  TORCH_CHECK(!same || !s.transposed, "[", kind, "] padding 'same' is of Conv1d and Conv2d alone");
  if (!same) CheckAll(kind, "padding", s.padding, 0);
  CheckAll(kind, "output_padding", s.output_padding, 0);
  TORCH_CHECK(s.groups > 0 && s.in % s.groups == 0 && s.out % s.groups == 0, "[", kind,
              "] groups must divide in_channels and out_channels, got ", s.groups, " groups for ", s.in, " and ",
              s.out);
  for (const int64_t stride : s.stride)
    TORCH_CHECK(!same || stride == 1, "[", kind, "] padding 'same' needs stride 1, got ", stride);
  for (size_t d = 0; d < s.output_padding.size(); ++d) {
    TORCH_CHECK(s.output_padding[d] < std::max(s.stride[d], s.dilation[d]), "[", kind,
                "] output_padding must be less than stride or dilation, got ", s.output_padding[d]);
  }
  const std::string& mode = s.padding_mode;
  TORCH_CHECK(mode == "zeros" || (!s.transposed && (mode == "reflect" || mode == "replicate" || mode == "circular")),
              "[", kind, "] padding_mode must be ",
              s.transposed ? "'zeros'" : "'zeros', 'reflect', 'replicate' or 'circular'", ", got '", mode, "'");
}

class Conv final : public Module {
 public:
  Conv(const char* kind, ConvShape shape)
      : Module(kind),
        kind_(kind),
        shape_(std::move(shape)),
        weight_(RegisterParameter("weight", at::empty(WeightSizes()))) {
    KaimingUniform(weight_);
    if (!shape_.bias) return;
    bias_ = &RegisterParameter("bias", at::empty({shape_.out}));
    UniformByFanIn(*bias_, FanIn(weight_));
  }

  at::Tensor Compute(const at::Tensor& input, State*) override {
    const auto dims = static_cast<int64_t>(shape_.kernel.size());
    TORCH_CHECK((input.dim() == dims + 2 || input.dim() == dims + 1) && input.size(-dims - 1) == shape_.in, "[", kind_,
                "] input must be (N, ", shape_.in, dims == 1 ? ", L)" : ", H, W)", ", got ", input.sizes());
    Sizes padding = shape_.padding;
    const at::Tensor x = Padded(input, &padding);
    const at::Tensor bias = bias_ != nullptr ? *bias_ : at::Tensor();
    const at::Tensor y = Convolve(x, bias, padding);
    tscore::SampleConv(y, x, weight_, bias, {shape_.stride, padding, shape_.dilation, shape_.groups, shape_.transposed},
                       kind_);
    return y;
  }

  std::string Describe() const override {
    std::string text = absl::StrCat(kind_, "(", shape_.in, ", ", shape_.out, ", ", Text(shape_.kernel));
    const auto add = [&](const char* name, const Sizes& numbers, int64_t usual) {
      if (numbers != Sizes(numbers.size(), usual)) absl::StrAppend(&text, ", ", name, "=", Text(numbers));
    };
    add("stride", shape_.stride, 1);
    add("padding", shape_.padding, 0);
    add("dilation", shape_.dilation, 1);
    add("output_padding", shape_.output_padding, 0);
    if (shape_.groups > 1) absl::StrAppend(&text, ", groups=", shape_.groups);
    if (bias_ == nullptr) text += ", bias=false";
    if (shape_.padding_mode != "zeros") absl::StrAppend(&text, ", padding_mode='", shape_.padding_mode, "'");
    return text + ")";
  }

 private:
  static std::string Text(const Sizes& numbers) {
    if (numbers[0] == kSame) return "'same'";
    return numbers.size() == 1 ? absl::StrCat(numbers[0]) : "{" + absl::StrJoin(numbers, ", ") + "}";
  }

  Sizes WeightSizes() const {
    const int64_t a = shape_.transposed ? shape_.in : shape_.out, b = shape_.transposed ? shape_.out : shape_.in;
    Sizes sizes = {a, b / shape_.groups};
    sizes.insert(sizes.end(), shape_.kernel.begin(), shape_.kernel.end());
    return sizes;
  }

  // The input with the padding that the convolution cannot do itself, and what is left of it for the convolution.
  at::Tensor Padded(const at::Tensor& input, Sizes* padding) const {
    Sizes around;  // left and right of each dimension, the last dimension first
    bool even = true;
    for (size_t d = shape_.kernel.size(); d-- > 0;) {
      const bool same = shape_.padding[d] == kSame;
      const int64_t all = same ? shape_.dilation[d] * (shape_.kernel[d] - 1) : 2 * shape_.padding[d];
      around.push_back(all / 2);
      around.push_back(all - all / 2);
      (*padding)[d] = all / 2;
      even = even && all % 2 == 0;
    }
    const bool zeros = shape_.padding_mode == "zeros";
    if (zeros && even) return input;
    padding->assign(padding->size(), 0);
    return at::pad(input, around, zeros ? "constant" : shape_.padding_mode);
  }

  at::Tensor Convolve(const at::Tensor& x, const at::Tensor& bias, const Sizes& padding) const {
    const ConvShape& s = shape_;
    const bool flat = s.kernel.size() == 1;
    if (s.transposed) {
      return flat ? at::conv_transpose1d(x, weight_, bias, s.stride, padding, s.output_padding, s.groups, s.dilation)
                  : at::conv_transpose2d(x, weight_, bias, s.stride, padding, s.output_padding, s.groups, s.dilation);
    }
    return flat ? at::conv1d(x, weight_, bias, s.stride, padding, s.dilation, s.groups)
                : at::conv2d(x, weight_, bias, s.stride, padding, s.dilation, s.groups);
  }

  const char* kind_;
  ConvShape shape_;
  at::Tensor& weight_;
  at::Tensor* bias_ = nullptr;
};

std::shared_ptr<Module> MakeConv(const char* kind, ConvShape shape) {
  CheckShape(kind, shape);
  return std::make_shared<Conv>(kind, std::move(shape));
}

LayerMaker ConvMaker(const char* kind) {
  return [kind](int64_t in, int64_t out, const Sizes& kernel, const Sizes& stride, const Sizes& padding,
                const Sizes& dilation, int64_t groups, bool bias, const std::string& padding_mode) {
    const Sizes output_padding(kernel.size(), 0);
    return MakeConv(kind, {in, out, kernel, stride, padding, dilation, output_padding, groups, bias,
                           /*transposed=*/false, padding_mode});
  };
}

// As torch.nn has them: the dilation stands in another place.
LayerMaker TransposedConvMaker(const char* kind) {
  return [kind](int64_t in, int64_t out, const Sizes& kernel, const Sizes& stride, const Sizes& padding,
                const Sizes& output_padding, int64_t groups, bool bias, const Sizes& dilation,
                const std::string& padding_mode) {
    return MakeConv(kind, {in, out, kernel, stride, padding, dilation, output_padding, groups, bias,
                           /*transposed=*/true, padding_mode});
  };
}

const RegisterLayer conv1d(
    {"Conv1d(int in_channels, int out_channels, int[1] kernel_size, int[1] stride=1, int[1] padding=0, int[1] "
     "dilation=1, int groups=1, bool bias=True, str padding_mode='zeros')",
     "A kernel moved over a sequence. in (N, in_channels, L); out (N, out_channels, L'), with L' = (L + 2 padding - "
     "dilation (kernel_size - 1) - 1) / stride + 1, rounded down. padding may be 'same' or 'valid'; padding_mode is "
     "zeros, reflect, replicate or circular. Initial values as torch.nn.Conv1d.",
     "nn.Conv1d{3, 8, 5, padding='same'}(torch.randn{2, 3, 10})", ConvMaker("Conv1d")});
const RegisterLayer conv2d(
    {"Conv2d(int in_channels, int out_channels, int[2] kernel_size, int[2] stride=1, int[2] padding=0, int[2] "
     "dilation=1, int groups=1, bool bias=True, str padding_mode='zeros')",
     "A kernel moved over images. in (N, in_channels, H, W); out (N, out_channels, H', W'), sizes as of Conv1d. One "
     "number stands for both dimensions. padding may be 'same' or 'valid'; padding_mode is zeros, reflect, replicate "
     "or circular. Initial values as torch.nn.Conv2d.",
     "nn.Conv2d{3, 8, 3, padding=1}(torch.randn{2, 3, 8, 8})", ConvMaker("Conv2d")});
const RegisterLayer conv_transpose1d(
    {"ConvTranspose1d(int in_channels, int out_channels, int[1] kernel_size, int[1] stride=1, int[1] padding=0, int[1] "
     "output_padding=0, int groups=1, bool bias=True, int[1] dilation=1, str padding_mode='zeros')",
     "The transpose of Conv1d, which makes sequences longer. in (N, in_channels, L); out (N, out_channels, L'), with "
     "L' "
     "= (L - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1. Initial values as "
     "torch.nn.ConvTranspose1d.",
     "nn.ConvTranspose1d{8, 3, 4, stride=2}(torch.randn{2, 8, 5})", TransposedConvMaker("ConvTranspose1d")});
const RegisterLayer conv_transpose2d(
    {"ConvTranspose2d(int in_channels, int out_channels, int[2] kernel_size, int[2] stride=1, int[2] padding=0, int[2] "
     "output_padding=0, int groups=1, bool bias=True, int[2] dilation=1, str padding_mode='zeros')",
     "The transpose of Conv2d, which makes images larger. in (N, in_channels, H, W); out (N, out_channels, H', W'), "
     "sizes as of ConvTranspose1d. Initial values as torch.nn.ConvTranspose2d.",
     "nn.ConvTranspose2d{8, 3, 2, stride=2}(torch.randn{2, 8, 4, 4})", TransposedConvMaker("ConvTranspose2d")});

}  // namespace
}  // namespace lanthorn::nn
