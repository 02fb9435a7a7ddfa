// Layers that move values and change none: Identity, Flatten, Unflatten, Unfold, Fold.
#include <ATen/Functions.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/nn/layer.h"

namespace lanthorn::nn {
namespace {

using Sizes = std::vector<int64_t>;

class Reshape final : public Module {
 public:
  using Function = std::function<at::Tensor(const at::Tensor&)>;
  Reshape(const char* kind, std::string options, Function function)
      : Module(kind), options_(std::move(options)), function_(std::move(function)) {}
  at::Tensor Compute(const at::Tensor& input, State*) override { return function_(input); }
  std::string Describe() const override { return absl::StrCat(kind(), "(", options_, ")"); }

 private:
  std::string options_;
  Function function_;
};

std::string Text(const Sizes& numbers) { return "{" + absl::StrJoin(numbers, ", ") + "}"; }

void CheckWindow(const char* kind, const Sizes& kernel, const Sizes& dilation, const Sizes& padding,
                 const Sizes& stride) {
  for (size_t d = 0; d < kernel.size(); ++d) {
    TORCH_CHECK(kernel[d] > 0 && dilation[d] > 0 && stride[d] > 0 && padding[d] >= 0, "[", kind,
                "] kernel_size, dilation and stride must be positive and padding not negative, got ", Text(kernel),
                ", ", Text(dilation), ", ", Text(stride), " and ", Text(padding));
  }
}

const RegisterLayer identity({"Identity()", "y = x: a place in a model where there is nothing to do.",
                              "nn.Identity()(torch.ones{2})", [] {
                                return std::make_shared<Reshape>("Identity", "", [](const at::Tensor& x) { return x; });
                              }});
const RegisterLayer flatten(
    {"Flatten(int start_dim=1, int end_dim=-1)",
     "One dimension from those between start_dim and end_dim. in (N, ...); out (N, all the rest).",
     "nn.Flatten()(torch.randn{2, 3, 4})", [](int64_t from, int64_t to) {
       return std::make_shared<Reshape>("Flatten", from == 1 && to == -1 ? "" : absl::StrCat(from, ", ", to),
                                        [=](const at::Tensor& x) {
                                          TORCH_CHECK(from < x.dim() && from >= -x.dim(), "[Flatten] start_dim ", from,
                                                      " is outside of an input of ", x.dim(), " dimensions");
                                          return at::flatten(x, from, to);
                                        });
     }});
const RegisterLayer unflatten({"Unflatten(int dim, int[] unflattened_size)",
                               "Several dimensions from one: their product is its size; one of them may be -1.",
                               "nn.Unflatten{1, {3, 4}}(torch.randn{2, 12})", [](int64_t dim, const Sizes& sizes) {
                                 return std::make_shared<Reshape>(
                                     "Unflatten", absl::StrCat(dim, ", ", Text(sizes)),
                                     [=](const at::Tensor& x) { return at::unflatten(x, dim, sizes); });
                               }});
const RegisterLayer unfold(
    {"Unfold(int[2] kernel_size, int[2] dilation=1, int[2] padding=0, int[2] stride=1)",
     "The patches under a moving window as columns. in (N, C, H, W); out (N, C kernel_height kernel_width, places).",
     "nn.Unfold{2}(torch.randn{2, 3, 4, 4})",
     [](const Sizes& kernel, const Sizes& dilation, const Sizes& padding, const Sizes& stride) {
       CheckWindow("Unfold", kernel, dilation, padding, stride);
       return std::make_shared<Reshape>("Unfold", Text(kernel), [=](const at::Tensor& x) {
         TORCH_CHECK(x.dim() == 4 || x.dim() == 3, "[Unfold] input must be (N, C, H, W), got ", x.sizes());
         return at::im2col(x, kernel, dilation, padding, stride);
       });
     }});
const RegisterLayer fold(
    {"Fold(int[2] output_size, int[2] kernel_size, int[2] dilation=1, int[2] padding=0, int[2] stride=1)",
     "Puts the columns of Unfold back; where windows overlap their values add up. in (N, C kernel_height kernel_width, "
     "places); out (N, C, output_size).",
     "nn.Fold{4, 2}(torch.randn{2, 12, 9})",
     [](const Sizes& size, const Sizes& kernel, const Sizes& dilation, const Sizes& padding, const Sizes& stride) {
       CheckWindow("Fold", kernel, dilation, padding, stride);
       return std::make_shared<Reshape>("Fold", absl::StrCat(Text(size), ", ", Text(kernel)), [=](const at::Tensor& x) {
         return at::col2im(x, size, kernel, dilation, padding, stride);
       });
     }});

}  // namespace
}  // namespace lanthorn::nn
