// Pooling over windows: the largest value or the mean.
#include <ATen/Functions.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/nn/layer.h"

namespace lanthorn::nn {
namespace {

using Sizes = std::vector<int64_t>;
using Function = std::function<at::Tensor(const at::Tensor&)>;

class Pool final : public Module {
 public:
  // `dims`: spatial dimensions of the input.
  Pool(const char* kind, int64_t dims, std::string options, Function function)
      : Module(kind), dims_(dims), options_(std::move(options)), function_(std::move(function)) {}
  at::Tensor Compute(const at::Tensor& input, State*) override {
    TORCH_CHECK(input.dim() == dims_ + 2 || input.dim() == dims_ + 1, "[", kind(), "] input must be (N, C, ",
                dims_ == 1 ? "L" : "H, W", "), got ", input.sizes());
    return function_(input);
  }
  std::string Describe() const override { return absl::StrCat(kind(), "(", options_, ")"); }

 private:
  int64_t dims_;
  std::string options_;
  Function function_;
};

std::string Text(const Sizes& numbers) {
  return numbers.size() == 1 ? absl::StrCat(numbers[0]) : "{" + absl::StrJoin(numbers, ", ") + "}";
}

struct Window {
  Sizes kernel, stride, padding;
};

// kernel_size, stride and padding, the first three arguments of all pools but the adaptive ones.
Window MakeWindow(const char* kind, const Sizes& kernel, const Sizes& stride, const Sizes& padding) {
  Window w = {kernel, stride, padding};
  if (w.stride.empty()) w.stride = w.kernel;
  for (size_t d = 0; d < w.kernel.size(); ++d) {
    TORCH_CHECK(w.kernel[d] > 0 && w.stride[d] > 0, "[", kind, "] kernel_size and stride must be positive, got ",
                Text(w.kernel), " and ", Text(w.stride));
    TORCH_CHECK(w.padding[d] >= 0 && 2 * w.padding[d] <= w.kernel[d], "[", kind,
                "] padding must be at most half of kernel_size, got ", Text(w.padding), " for ", Text(w.kernel));
  }
  return w;
}

std::string Describe(const Window& w) {
  std::string text = Text(w.kernel);
  if (w.stride != w.kernel) absl::StrAppend(&text, ", stride=", Text(w.stride));
  if (w.padding != Sizes(w.padding.size(), 0)) absl::StrAppend(&text, ", padding=", Text(w.padding));
  return text;
}

LayerMaker MaxMaker(const char* kind) {
  return [kind](const Sizes& kernel, const Sizes& stride, const Sizes& padding, const Sizes& dilation, bool ceil) {
    const Window w = MakeWindow(kind, kernel, stride, padding);
    const bool flat = kernel.size() == 1;
    for (const int64_t d : dilation) TORCH_CHECK(d > 0, "[", kind, "] dilation must be positive, got ", Text(dilation));
    return std::make_shared<Pool>(kind, flat ? 1 : 2, Describe(w), [w, dilation, ceil, flat](const at::Tensor& x) {
      return flat ? at::max_pool1d(x, w.kernel, w.stride, w.padding, dilation, ceil)
                  : at::max_pool2d(x, w.kernel, w.stride, w.padding, dilation, ceil);
    });
  };
}

LayerMaker AverageMaker(const char* kind) {
  return [kind](const Sizes& kernel, const Sizes& stride, const Sizes& padding, bool ceil, bool padded) {
    const Window w = MakeWindow(kind, kernel, stride, padding);
    const bool flat = kernel.size() == 1;
    return std::make_shared<Pool>(kind, flat ? 1 : 2, Describe(w), [w, ceil, padded, flat](const at::Tensor& x) {
      return flat ? at::avg_pool1d(x, w.kernel, w.stride, w.padding, ceil, padded)
                  : at::avg_pool2d(x, w.kernel, w.stride, w.padding, ceil, padded);
    });
  };
}

LayerMaker AdaptiveMaker(const char* kind, bool largest) {
  return [kind, largest](const Sizes& size) {
    for (const int64_t s : size) TORCH_CHECK(s > 0, "[", kind, "] output_size must be positive, got ", Text(size));
    const bool flat = size.size() == 1;
    return std::make_shared<Pool>(kind, flat ? 1 : 2, Text(size), [size, flat, largest](const at::Tensor& x) {
      if (largest) return std::get<0>(flat ? at::adaptive_max_pool1d(x, size) : at::adaptive_max_pool2d(x, size));
      return flat ? at::adaptive_avg_pool1d(x, size) : at::adaptive_avg_pool2d(x, size);
    });
  };
}

const RegisterLayer max_pool1d(
    {"MaxPool1d(int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, *, bool ceil_mode=False)",
     "The largest value of each window. in (N, C, L); out (N, C, L'). stride is kernel_size unless given.",
     "nn.MaxPool1d{2}(torch.randn{2, 3, 8})", MaxMaker("MaxPool1d")});
const RegisterLayer max_pool2d(
    {"MaxPool2d(int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, *, bool ceil_mode=False)",
     "The largest value of each window. in (N, C, H, W); out (N, C, H', W'). stride is kernel_size unless given.",
     "nn.MaxPool2d{2}(torch.randn{2, 3, 8, 8})", MaxMaker("MaxPool2d")});
const RegisterLayer avg_pool1d(
    {"AvgPool1d(int[1] kernel_size, int[1] stride=[], int[1] padding=0, bool ceil_mode=False, bool "
     "count_include_pad=True)",
     "The mean of each window. in (N, C, L); out (N, C, L'). stride is kernel_size unless given.",
     "nn.AvgPool1d{2}(torch.randn{2, 3, 8})", AverageMaker("AvgPool1d")});
const RegisterLayer avg_pool2d(
    {"AvgPool2d(int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool "
     "count_include_pad=True)",
     "The mean of each window. in (N, C, H, W); out (N, C, H', W'). stride is kernel_size unless given.",
     "nn.AvgPool2d{2}(torch.randn{2, 3, 8, 8})", AverageMaker("AvgPool2d")});
const RegisterLayer adaptive_avg_pool1d({"AdaptiveAvgPool1d(int[1] output_size)",
                                         "Means of as many windows as asked for. in (N, C, L); out (N, C, output).",
                                         "nn.AdaptiveAvgPool1d{2}(torch.randn{2, 3, 7})",
                                         AdaptiveMaker("AdaptiveAvgPool1d", false)});
const RegisterLayer adaptive_avg_pool2d(
    {"AdaptiveAvgPool2d(int[2] output_size)",
     "Means of as many windows as asked for; {1, 1} is the mean of the image. in (N, C, H, W); out (N, C, output).",
     "nn.AdaptiveAvgPool2d{1}(torch.randn{2, 3, 7, 5})", AdaptiveMaker("AdaptiveAvgPool2d", false)});
const RegisterLayer adaptive_max_pool1d({"AdaptiveMaxPool1d(int[1] output_size)",
                                         "As AdaptiveAvgPool1d, with the largest value.",
                                         "nn.AdaptiveMaxPool1d{2}(torch.randn{2, 3, 7})",
                                         AdaptiveMaker("AdaptiveMaxPool1d", true)});
const RegisterLayer adaptive_max_pool2d({"AdaptiveMaxPool2d(int[2] output_size)",
                                         "As AdaptiveAvgPool2d, with the largest value.",
                                         "nn.AdaptiveMaxPool2d{1}(torch.randn{2, 3, 7, 5})",
                                         AdaptiveMaker("AdaptiveMaxPool2d", true)});

}  // namespace
}  // namespace lanthorn::nn
