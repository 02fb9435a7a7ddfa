#include "engine/kernels/loss/linear_cross_entropy.h"

#include <ATen/Functions.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_join.h"
#include "engine/base/torch_compat.h"
#include "engine/kernels/loss/linear_cross_entropy_kernel.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = compat::Optional<at::Tensor>;

constexpr const char* kTag = "linear_cross_entropy";

// What forward and backward need that autograd does not keep: the open recorder, and the parameters as it knows them.
struct Context : torch::CustomClassHolder {
  tscore::Recorder::Ptr recorder;
  HeadInput head;     // detached; of the counted rows alone where `places` is defined
  at::Tensor places;  // (N, M) of those rows within each sample; the last of a sample may stand for none
  HeadWanted wanted;
  at::Tensor weight, bias;
};

// The gradient of weight or bias for one sample, made anew: the gradient of the logits was not kept.
class HeadUse final : public tscore::Use {
 public:
  HeadUse(const HeadInput& head, bool weight, double factor, at::Tensor squares, at::Tensor log_sums)
      : head_(head), weight_(weight), factor_(factor), squares_(std::move(squares)), log_sums_(std::move(log_sums)) {}
  int64_t samples() const override { return head_.x.size(0); }
  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    HeadInput one = head_;
    one.x = head_.x.narrow(0, sample, 1);
    one.target = head_.target.narrow(0, sample, 1);
    const HeadResult result = RunHead(one, {.weight = weight_, .bias = !weight_});
    tile.add_(weight_ ? result.weight : result.bias, factor_);
  }
  at::Tensor SampleSquares() const override { return squares_ * (factor_ * factor_); }

  // The weight's gradient is sum_t e_t h_t^T, e_t the gradient of position t's logits: with rows d_k of ids x_k its
  // product is sum_{t, k} e_t[x_k] <h_t, d_k>, for which those columns of the logits are made anew.
  at::Tensor ProductsWith(const tscore::RowUse& rows) const override {
    if (!weight_) return {};
    const at::Tensor &x = head_.x, ids = rows.ids.unsqueeze(1), target = head_.target.unsqueeze(2);
    const at::Tensor own = head_.weight.index_select(0, rows.ids.flatten()).view(rows.delta.sizes());
    at::Tensor logits = at::bmm(x, own.transpose(1, 2));  // (N, positions, ids)
    if (head_.bias.defined()) logits = logits + head_.bias.index({ids});
    const at::Tensor e = at::exp(logits - log_sums_.unsqueeze(2)) - ids.eq(target).to(x.scalar_type());
    const at::Tensor inner = at::bmm(x, rows.delta.transpose(1, 2)).to(c10::kDouble);
    const at::Tensor products = (e.to(c10::kDouble) * inner * target.ne(head_.ignore_index)).flatten(1).sum(1);
    // Without counted targets there is no gradient, and the scale is not a number.
    return products * (std::isfinite(head_.scale) ? head_.scale * factor_ : 0);
  }

 private:
  HeadInput head_;
  bool weight_;
  double factor_;
  at::Tensor squares_, log_sums_;
};

class HeadFunction : public torch::autograd::Function<HeadFunction> {
 public:
  // x, weight and bias are there for autograd; the values are those of the context.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const MaybeTensor& bias, const c10::intrusive_ptr<Context>& context) {
    HeadResult result = RunHead(context->head, context->wanted);
    if (result.x.defined() && context->places.defined()) {
      const int64_t N = x.size(0), C = x.size(-1);
      const at::Tensor all = at::zeros({N, N > 0 ? x.numel() / (N * C) : 0, C}, x.options());
      // Rows that stand for none have gradients of zero, and add nothing to the place that they name.
      result.x = all.scatter_add_(1, context->places.unsqueeze(2).expand({-1, -1, C}), result.x);
    }
    if (result.x.defined()) result.x = result.x.view(x.sizes());
    ctx->save_for_backward({result.x, result.weight, result.bias, result.sq_weight, result.sq_bias, result.log_sums});
    ctx->saved_data["context"] = c10::IValue::make_capsule(context);
    return at::scalar_tensor(result.loss_sum * context->head.scale, x.options());
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "[", kTag,
                "] has no second derivative; use torch.linear and torch.cross_entropy_loss for create_graph");
    const auto context = c10::static_intrusive_pointer_cast<Context>(ctx->saved_data["context"].toCapsule());
    const variable_list saved = ctx->get_saved_variables();
    const double factor = gradients[0].defined() ? gradients[0].item<double>() : 0;
    if (context->recorder != nullptr) Report(*context, factor, saved);
    const auto scaled = [factor](const at::Tensor& gradient) {
      return !gradient.defined() || factor == 1 ? gradient : gradient * factor;
    };
    return {scaled(saved[0]), scaled(saved[1]), scaled(saved[2]), at::Tensor()};
  }

 private:
  static void Report(const Context& context, double factor, const variable_list& saved) {
    if (context.wanted.weight)
      context.recorder->Report(context.weight, kTag,
                               std::make_unique<HeadUse>(context.head, /*weight=*/true, factor, saved[3], saved[5]));
    if (context.wanted.bias)
      context.recorder->Report(context.bias, kTag,
                               std::make_unique<HeadUse>(context.head, /*weight=*/false, factor, saved[4], saved[5]));
  }
};

void CheckShapes(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& target) {
  TORCH_CHECK(weight.dim() == 2 && weight.size(0) > 0, "[", kTag, "] weight must be (V, C) with V > 0, got ",
              weight.sizes());
  TORCH_CHECK(input.dim() >= 2 && input.size(-1) == weight.size(1), "[", kTag, "] input must be (N, ..., ",
              weight.size(1), "), got ", input.sizes());
  TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0)), "[", kTag, "] bias must be (",
              weight.size(0), "), got ", bias.sizes());
  TORCH_CHECK(target.sizes() == input.sizes().slice(0, static_cast<size_t>(input.dim() - 1)), "[", kTag,
              "] target must have the input's shape without its last dimension, ",
              input.sizes().slice(0, static_cast<size_t>(input.dim() - 1)), ", got ", target.sizes());
  for (const at::Tensor& other : {weight, bias, target}) {
    TORCH_CHECK(!other.defined() || other.device() == input.device(), "[", kTag, "] input is on ", input.device(),
                ", another argument on ", other.device());
  }
  TORCH_CHECK(target.scalar_type() == c10::kLong, "[", kTag, "] target must be int64, got ", target.scalar_type());
  TORCH_CHECK(input.scalar_type() == weight.scalar_type() && (!bias.defined() || bias.dtype() == weight.dtype()), "[",
              kTag, "] input is ", input.scalar_type(), ", weight ", weight.scalar_type(),
              ": they must agree, with bias");
}

// How many targets count; one that is not a class is an error.
int64_t CountTargets(const at::Tensor& target, int64_t V, int64_t ignore_index) {
  const int64_t* values = target.data_ptr<int64_t>();
  int64_t counted = 0;
  for (int64_t i = 0; i < target.numel(); ++i) {
    if (values[i] == ignore_index) continue;
    ++counted;
    if (values[i] >= 0 && values[i] < V) continue;
    std::vector<int64_t> place;
    for (int64_t d = target.dim(), rest = i; d-- > 0; rest /= target.size(d))
      place.insert(place.begin(), rest % target.size(d));
    TORCH_CHECK_INDEX(false, "[", kTag, "] target ", values[i], " at [", absl::StrJoin(place, ", "),
                      "] is out of range: there are V = ", V, " classes, 0 to ", V - 1, ", and ", ignore_index,
                      " for targets that do not count");
  }
  return counted;
}

// Where fewer than half of the targets count (masked tokens), the head is computed for those alone: each sample's
// counted rows, filled up to the most that one has.
void LeaveOutIgnored(int64_t counted, Context* context) {
  HeadInput& head = context->head;
  if (counted == 0 || 2 * counted > head.target.numel()) return;
  const at::Tensor ignored = head.target.eq(head.ignore_index);
  const int64_t most = ignored.logical_not().sum(1).max().item<int64_t>();
  if (2 * most > head.target.size(1)) return;
  // The counted ones first, in their order.
  context->places = ignored.to(c10::kByte).argsort(/*stable=*/true, /*dim=*/1).narrow(1, 0, most).contiguous();
  head.target = head.target.gather(1, context->places);
  head.x = head.x.gather(1, context->places.unsqueeze(2).expand({-1, -1, head.x.size(2)}));
}

at::Tensor Registered(const at::Tensor& input, const at::Tensor& weight, const MaybeTensor& bias,
                      const at::Tensor& target, int64_t ignore_index) {
  return LinearCrossEntropy(input, weight, bias ? *bias : at::Tensor(), target, ignore_index);
}

TORCH_LIBRARY_FRAGMENT(lanthorn, m) {
  m.def(
      "linear_cross_entropy(Tensor input, Tensor weight, Tensor? bias, Tensor target, int ignore_index=-100) -> Tensor",
      &Registered);
}

}  // namespace

at::Tensor LinearCrossEntropyReference(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                                       const at::Tensor& target, int64_t ignore_index) {
  const at::Tensor logits = at::linear(input, weight, bias);
  tscore::SampleLinear(logits, input, weight, bias, kTag);
  return at::cross_entropy_loss(logits.reshape({-1, weight.size(0)}), target.reshape({-1}), {}, at::Reduction::Mean,
                                ignore_index);
}

at::Tensor LinearCrossEntropy(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                              const at::Tensor& target, int64_t ignore_index) {
  CheckShapes(input, weight, bias, target);
  // A copy: the backward reads the targets too, and must not meet others than are checked here.
  const at::Tensor targets = target.clone(at::MemoryFormat::Contiguous);
  int64_t counted = 0;
  if (targets.device().is_cpu()) counted = CountTargets(targets, weight.size(0), ignore_index);
  if (!input.device().is_cpu() || input.scalar_type() != c10::kFloat)
    return LinearCrossEntropyReference(input, weight, bias, target, ignore_index);
  const auto wants = [](const at::Tensor& tensor) {
    return at::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad();
  };
  const int64_t N = input.size(0), C = input.size(-1);
  int64_t positions = 1;
  for (int64_t d = 1; d + 1 < input.dim(); ++d) positions *= input.size(d);
  auto context = c10::make_intrusive<Context>();
  context->wanted = {.x = wants(input), .weight = wants(weight), .bias = wants(bias)};
  if (context->wanted.weight || context->wanted.bias) context->recorder = tscore::Recorder::Current();
  context->wanted.squares = context->recorder != nullptr;
  context->weight = weight;
  context->bias = bias;
  // Without counted targets the loss is 0 / 0, as PyTorch's, and no gradient is scaled.
  const double scale = counted > 0 ? 1 / static_cast<double>(counted) : std::numeric_limits<double>::quiet_NaN();
  context->head = {input.detach().reshape({N, positions, C}).contiguous(),
                   weight.detach().contiguous(),
                   bias.defined() ? bias.detach().contiguous() : at::Tensor(),
                   targets.view({N, positions}),
                   ignore_index,
                   scale};
  LeaveOutIgnored(counted, context.get());
  return HeadFunction::apply(input, weight, bias.defined() ? MaybeTensor(bias) : compat::kNullopt, context);
}

}  // namespace lanthorn::kernels
