#include "engine/kernels/attention/attention.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "engine/base/torch_compat.h"
#include "engine/kernels/attention/attention_keys.h"
#include "engine/kernels/simd/for_threads.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = compat::Optional<at::Tensor>;

// What the backward needs beside its inputs: how the attention was asked for, and which keys it may look at.
struct Context : torch::CustomClassHolder {
  AttentionLayout layout;
  AttentionKeyTensors keys;
  at::Tensor tables;  // as the recorder knows them, where they are trained
  const char* layer = "";
  tscore::Recorder::Ptr recorder;

  AttentionMemory Memory(const at::Tensor& qkv) const { return {qkv.data_ptr<float>(), keys.From(0)}; }
};

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  // qkv (n, B, T, 3 d). tables: an argument, so that autograd sees it; its values are those of the context.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const MaybeTensor&,
                            const c10::intrusive_ptr<Context>& context, bool keep_sums) {
    const at::Tensor joined = qkv.contiguous();
    const AttentionLayout& l = context->layout;
    const int64_t units = joined.size(0) * l.B * l.heads;
    const at::Tensor y = at::empty({joined.size(0), l.B, l.T, l.d()}, joined.options());
    const at::Tensor sums = keep_sums ? at::empty({units, l.T, 2}, joined.options()) : at::Tensor();
    ForThreads(units, [&](int64_t begin, int64_t end) {
      AttentionForward(l, context->Memory(joined), y.data_ptr<float>(), keep_sums ? sums.data_ptr<float>() : nullptr,
                       begin, end);
    });
    ctx->save_for_backward({joined, sums});
    ctx->saved_data["context"] = c10::IValue::make_capsule(context);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "[attention] has no second derivative; use plain operators for create_graph");
    const auto context = c10::static_intrusive_pointer_cast<Context>(ctx->saved_data["context"].toCapsule());
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &qkv = saved[0], &sums = saved[1];
    if (!gradients[0].defined()) return variable_list(4);
    const at::Tensor grad_y = gradients[0].contiguous(), grad_qkv = at::empty_like(qkv);
    const AttentionLayout& l = context->layout;
    const int64_t units = qkv.size(0) * l.B * l.heads;
    const at::Tensor grad_rows = context->tables.defined() ? context->keys.MakeGradients(l.heads) : at::Tensor();
    ForThreads(units, [&](int64_t begin, int64_t end) {
      AttentionBackward(l, context->Memory(qkv), sums.data_ptr<float>(), grad_y.data_ptr<float>(),
                        grad_qkv.data_ptr<float>(), grad_rows.defined() ? grad_rows.data_ptr<float>() : nullptr, begin,
                        end);
    });
    at::Tensor grad_tables;
    if (grad_rows.defined()) {
      const at::Tensor of_samples = RelationGradients(grad_rows, context->keys.relations);
      grad_tables = of_samples.sum(0);
      if (context->recorder != nullptr)
        context->recorder->Report(context->tables, context->layer, tscore::BiasUse(of_samples, 2));
    }
    return {grad_qkv, grad_tables, at::Tensor(), at::Tensor()};
  }
};

void CheckShapes(const at::Tensor& qkv, const at::Tensor& padding, const AttentionOptions& o,
                 const RelationBias& bias = {}) {
  TORCH_CHECK(qkv.dim() == 3 || qkv.dim() == 4, "[attention] qkv must be (B, T, 3 d) or (n, B, T, 3 d), got ",
              qkv.sizes());
  TORCH_CHECK(qkv.is_floating_point(), "[attention] qkv must be floating point, got ", qkv.scalar_type());
  TORCH_CHECK(o.heads > 0 && qkv.size(-1) > 0 && qkv.size(-1) % (3 * o.heads) == 0,
              "[attention] the last dimension must be 3 d with d a multiple of ", o.heads, " heads, got ",
              qkv.size(-1));
  TORCH_CHECK(o.dropout >= 0 && o.dropout < 1, "[attention] dropout must be in [0, 1), got ", o.dropout);
  if (bias.defined()) {
    TORCH_CHECK(qkv.dim() == 3, "[attention] with a bias qkv must be (B, T, 3 d), got ", qkv.sizes());
    CheckRelations(bias, qkv.size(0), qkv.size(1), qkv.options());
  }
  if (!padding.defined()) return;
  TORCH_CHECK(padding.scalar_type() == c10::kBool && padding.dim() == 2 && padding.size(0) == qkv.size(-3) &&
                  padding.size(1) == qkv.size(-2),
              "[attention] padding must be a bool (", qkv.size(-3), ", ", qkv.size(-2), "), true at padded keys, got ",
              padding.scalar_type(), " ", padding.sizes());
  TORCH_CHECK(padding.device() == qkv.device(), "[attention] qkv is on ", qkv.device(), ", padding on ",
              padding.device());
}

at::Tensor Registered(const at::Tensor& qkv, int64_t heads, bool causal, const MaybeTensor& padding, double dropout,
                      int64_t seed, const MaybeTensor& relations, const MaybeTensor& tables) {
  const auto given = [](const MaybeTensor& tensor) { return tensor ? *tensor : at::Tensor(); };
  return Attention(qkv, given(padding), {heads, causal, dropout, seed}, {given(relations), given(tables)});
}

TORCH_LIBRARY_FRAGMENT(lanthorn, m) {
  m.def(
      "attention(Tensor qkv, int heads, bool causal=False, Tensor? padding=None, float dropout=0., int seed=0, "
      "Tensor? relations=None, Tensor? tables=None) -> Tensor",
      &Registered);
}

}  // namespace

at::Tensor AttentionFrom(const at::Tensor& qkv, int64_t first_query, const AttentionOptions& options) {
  CheckShapes(qkv, {}, options);
  const int64_t B = qkv.size(0), T = qkv.size(1), width = qkv.size(2);
  TORCH_CHECK(qkv.dim() == 3 && first_query >= 0 && first_query < T, "[attention] first_query must be below the ", T,
              " positions, got ", first_query);
  TORCH_CHECK(options.dropout == 0 && !at::GradMode::is_enabled(), "[attention] first_query is for evaluation");
  if (!qkv.device().is_cpu() || qkv.scalar_type() != c10::kFloat || B == 0)
    return AttentionReference(qkv, {}, options).narrow(1, first_query, T - first_query);
  const bool lies = qkv.stride(2) == 1 && qkv.stride(1) == width && (B == 1 || qkv.stride(0) % width == 0);
  const at::Tensor joined = lies ? qkv : qkv.contiguous();
  const AttentionLayout layout = {.B = B,
                                  .T = T,
                                  .heads = options.heads,
                                  .width = width / 3 / options.heads,
                                  .causal = options.causal,
                                  .dropout = 0,
                                  .seed = 0,
                                  .first_query = first_query,
                                  .sample_rows = B == 1 ? T : joined.stride(0) / width};
  const at::Tensor y = at::empty({B, T - first_query, layout.d()}, qkv.options());
  ForThreads(B * layout.heads, [&](int64_t begin, int64_t end) {
    AttentionForward(layout, {joined.data_ptr<float>()}, y.data_ptr<float>(), nullptr, begin, end);
  });
  return y;
}

at::Tensor Attention(const at::Tensor& qkv, const at::Tensor& padding, const AttentionOptions& options,
                     const RelationBias& bias, const char* layer) {
  CheckShapes(qkv, padding, options, bias);
  if (!qkv.device().is_cpu() || qkv.scalar_type() != c10::kFloat || qkv.numel() == 0)
    return AttentionReference(qkv, padding, options, bias, layer);
  auto context = c10::make_intrusive<Context>();
  context->layout = {qkv.size(-3),   qkv.size(-2),    options.heads, qkv.size(-1) / 3 / options.heads,
                     options.causal, options.dropout, options.seed};
  context->keys = AttentionKeyTensors::Of(padding, bias, qkv.options());
  const bool trains_tables = at::GradMode::is_enabled() && bias.defined() && bias.tables.requires_grad();
  if (trains_tables) {
    context->tables = bias.tables;
    context->layer = layer;
    context->recorder = tscore::Recorder::Current();
  }
  const at::Tensor nodes = qkv.dim() == 4 ? qkv : qkv.unsqueeze(0);
  const at::Tensor y =
      AttentionFunction::apply(nodes, bias.defined() ? MaybeTensor(bias.tables) : compat::kNullopt, context,
                               trains_tables || (at::GradMode::is_enabled() && qkv.requires_grad()));
  return qkv.dim() == 4 ? y : y.squeeze(0);
}

}  // namespace lanthorn::kernels
