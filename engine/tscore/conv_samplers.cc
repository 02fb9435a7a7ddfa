// With U the patches of x under the kernel (channels and kernel places as rows, output places as columns) and E the
// delta of y, the weight's gradient is E U^T in each group. A transposed convolution swaps the two: U are the patches
// of E, and the gradient is x U^T.
#include "engine/tscore/conv_samplers.h"

#include <ATen/Functions.h>

#include "engine/tscore/samplers.h"

namespace lanthorn::tscore {
namespace {

// (N, C, W) as (N, C, 1, W); four dimensions stay.
at::Tensor AsImage(const at::Tensor& x) { return x.dim() == 3 ? x.unsqueeze(2) : x; }
// The numbers of one spatial dimension for two of which the first is trivial.
std::vector<int64_t> AsPair(const std::vector<int64_t>& numbers, int64_t trivial) {
  return numbers.size() == 1 ? std::vector<int64_t>{trivial, numbers[0]} : numbers;
}

class ConvUse final : public Use {
 public:
  // `visited` is what the kernel moves over, `values` what stands at each of its places.
  ConvUse(const at::Tensor& visited, const at::Tensor& values, const at::Tensor& weight, const ConvGeometry& g)
      : visited_(AsImage(visited)), values_(AsImage(values)), groups_(g.groups), weight_size_(weight.numel()) {
    kernel_ = AsPair(weight.sizes().slice(2).vec(), 1);
    stride_ = AsPair(g.stride, 1);
    padding_ = AsPair(g.padding, 0);
    dilation_ = AsPair(g.dilation, 1);
  }
  int64_t samples() const override { return values_.size(0); }

  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    tile.add_(Gradients(sample, 1).view(tile.sizes()));
  }

  at::Tensor SampleSquares() const override {
    // In blocks of about 16 Mi numbers, in patches and in gradients.
    const int64_t patches = visited_.size(1) * kernel_[0] * kernel_[1] * values_.size(2) * values_.size(3);
    const int64_t block = std::max<int64_t>(1, (int64_t{16} << 20) / std::max({int64_t{1}, patches, weight_size_}));
    std::vector<at::Tensor> squares;
    for (int64_t first = 0; first < samples(); first += block) {
      const at::Tensor rows = Gradients(first, std::min(block, samples() - first)).to(c10::kDouble);
      squares.push_back(rows.square().sum(1));
    }
    return squares.empty() ? at::zeros({0}, values_.options().dtype(c10::kDouble)) : at::cat(squares);
  }

 private:
  // (count, elements of the weight)
  at::Tensor Gradients(int64_t first, int64_t count) const {
    const int64_t height = values_.size(2), width = values_.size(3);
    at::Tensor patches = at::im2col(visited_.narrow(0, first, count), kernel_, dilation_, padding_, stride_);
    // With an output padding the kernel of a transposed convolution never reaches the last places.
    const auto places = [&](int64_t d) {
      const int64_t reach = dilation_[d] * (kernel_[d] - 1) + 1;
      return (visited_.size(d + 2) + 2 * padding_[d] - reach) / stride_[d] + 1;
    };
    patches = patches.view({count, groups_, patches.size(1) / groups_, places(0), places(1)})
                  .narrow(3, 0, height)
                  .narrow(4, 0, width)
                  .reshape({count, groups_, patches.size(1) / groups_, height * width});
    const at::Tensor values =
        values_.narrow(0, first, count).reshape({count, groups_, values_.size(1) / groups_, height * width});
    return at::matmul(values, patches.transpose(2, 3)).reshape({count, weight_size_});
  }

  at::Tensor visited_, values_;  // (N, C, H, W)
  int64_t groups_, weight_size_;
  std::vector<int64_t> kernel_, stride_, padding_, dilation_;
};

}  // namespace

void SampleConv(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                const ConvGeometry& geometry, const char* layer) {
  const Recorder::Ptr recorder = Watching(y, {weight, bias});
  if (recorder == nullptr) return;
  if (x.dim() < weight.dim()) return recorder->Refuse(std::string(layer) + ": the input has no sample dimension");
  y.register_hook([=, x = x.detach()](const at::Tensor& delta) {
    if (Trained(weight)) {
      const auto use = [&](const at::Tensor& visited, const at::Tensor& values) {
        return std::make_unique<ConvUse>(visited, values, weight, geometry);
      };
      recorder->Report(weight, layer, geometry.transposed ? use(delta.detach(), x) : use(x, delta.detach()));
    }
    if (Trained(bias)) recorder->Report(bias, layer, BiasUse(delta.detach().flatten(2).sum(2), 1));
  });
}

}  // namespace lanthorn::tscore
