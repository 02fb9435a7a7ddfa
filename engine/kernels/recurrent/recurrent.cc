#include "engine/kernels/recurrent/recurrent.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include "engine/base/torch_compat.h"
#include "engine/kernels/recurrent/recurrent_kernel.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
// Autograd takes no undefined tensor as an argument, only an absent one.
using MaybeTensor = compat::Optional<at::Tensor>;

MaybeTensor Maybe(const at::Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : compat::kNullopt; }

// What the backward needs beside tensors: the open recorder, the parameters as the recorder knows them, and whether
// the activations are still those of the forward.
struct Context : torch::CustomClassHolder {
  Cell cell = Cell::kGru;
  Precision precision;
  tscore::Recorder::Ptr recorder;
  RecurrentWeights parameters;
  at::Tensor table, ids;  // table: the parameter; ids (B, T) of its rows, undefined when the input is not a table
  bool used_up = false;
};

class RecurrentFunction : public torch::autograd::Function<RecurrentFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& input, const at::Tensor& h0,
                               const MaybeTensor& c0, const at::Tensor& w_ih, const at::Tensor& w_hh,
                               const MaybeTensor& b_ih, const MaybeTensor& b_hh,
                               const c10::intrusive_ptr<Context>& context) {
    const auto contiguous = [](const MaybeTensor& tensor) { return tensor ? tensor->contiguous() : at::Tensor(); };
    const RecurrentWeights weights = {w_ih.contiguous(), w_hh.contiguous(), contiguous(b_ih), contiguous(b_hh)};
    const at::Tensor x = input.contiguous(), h = h0.contiguous(), c = contiguous(c0);
    const RecurrentForward result = RunForward(context->cell, {x, context->ids}, h, c, weights, context->precision);
    ctx->save_for_backward(
        {x, h, c, weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh, result.output, result.activations});
    ctx->saved_data["context"] = c10::IValue::make_capsule(context);
    variable_list outputs = {result.output};
    if (result.c.defined()) outputs.push_back(result.c);
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto context = c10::static_intrusive_pointer_cast<Context>(ctx->saved_data["context"].toCapsule());
    const char* tag = context->cell == Cell::kGru ? "gru" : "lstm";
    TORCH_CHECK(!at::GradMode::is_enabled(), "[", tag,
                "] has no second derivative; use the reference operators for create_graph");
    const variable_list saved = ctx->get_saved_variables();
    const SequenceInput x = {saved[0], context->ids};
    const at::Tensor &h0 = saved[1], &c0 = saved[2];
    const RecurrentWeights weights = {saved[3], saved[4], saved[5], saved[6]};
    RecurrentForward forward = {saved[7], at::Tensor(), saved[8]};
    // A second backward through the same graph: the first has turned the activations into gradients.
    if (context->used_up)
      forward.activations = RunForward(context->cell, x, h0, c0, weights, context->precision).activations;
    context->used_up = true;
    const at::Tensor grad_output = gradients[0].defined() ? gradients[0].contiguous() : at::zeros_like(forward.output);
    const at::Tensor grad_c = gradients.size() > 1 ? gradients[1] : at::Tensor();
    const bool record = context->recorder != nullptr;
    RecurrentGradients result = RunBackward(
        context->cell, x, h0, c0, weights, forward,
        {grad_output, grad_c, /*want_input=*/ctx->needs_input_grad(0), /*sample_squares=*/record}, context->precision);
    if (record) Report(*context, tag, x, h0, forward, result);
    return {result.input, result.h0, result.c0, result.w_ih, result.w_hh, result.b_ih, result.b_hh, at::Tensor()};
  }

 private:
  static void Report(const Context& context, const char* tag, const SequenceInput& x, const at::Tensor& h0,
                     const RecurrentForward& forward, const RecurrentGradients& result) {
    const RecurrentWeights& parameters = context.parameters;
    const auto report = [&](const at::Tensor& parameter, const at::Tensor& squares,
                            std::function<std::unique_ptr<tscore::Use>()> unpack) {
      if (!parameter.defined() || !parameter.requires_grad()) return;
      context.recorder->Report(parameter, tag, tscore::LazyUse(squares, std::move(unpack)));
    };
    // Detached: a report that held a part of the graph would keep it alive for ever, since the graph holds the
    // recorder.
    const at::Tensor output = forward.output.detach(), before = h0.detach(), values = x.values.detach();
    const auto deltas = [cell = context.cell, activations = forward.activations, output](bool hidden) {
      return Deltas(cell, activations, output, hidden);
    };
    const auto rows = [values, ids = x.ids] { return ids.defined() ? at::embedding(values, ids) : values; };
    report(parameters.w_ih, result.sq_w_ih, [=] { return tscore::LinearUse(rows(), deltas(false)); });
    report(parameters.w_hh, result.sq_w_hh,
           [=] { return tscore::LinearUse(RowsBefore(before, output), deltas(true)); });
    report(parameters.b_ih, result.sq_b_ih, [=] { return tscore::BiasUse(deltas(false), 1); });
    report(parameters.b_hh, result.sq_b_hh, [=] { return tscore::BiasUse(deltas(true), 1); });
    if (!result.sq_input.defined()) return;
    report(context.table, result.sq_input, [=, ids = x.ids, w_ih = parameters.w_ih.detach()] {
      return tscore::EmbeddingUse(ids, at::matmul(deltas(false), w_ih), values.size(0));
    });
  }
};

void CheckShapes(Cell cell, const SequenceInput& input, const at::Tensor& h0, const at::Tensor& c0,
                 const RecurrentWeights& w) {
  const char* tag = cell == Cell::kGru ? "[gru]" : "[lstm]";
  const int64_t gates = GateCount(cell);
  TORCH_CHECK(w.w_hh.dim() == 2 && w.w_hh.size(0) == gates * w.w_hh.size(1), tag, " w_hh must be (", gates,
              "*H, H), got ", w.w_hh.sizes());
  const int64_t H = w.w_hh.size(1);
  TORCH_CHECK(w.w_ih.dim() == 2 && w.w_ih.size(0) == gates * H, tag, " w_ih must be (", gates * H, ", I), got ",
              w.w_ih.sizes());
  const at::Tensor& shape = input.shape();
  TORCH_CHECK(input.ids.defined() || (shape.dim() == 3 && shape.size(2) == w.w_ih.size(1)), tag,
              " input must be (B, T, ", w.w_ih.size(1), "), got ", shape.sizes());
  TORCH_CHECK(!input.ids.defined() || shape.dim() == 2, tag, " ids must be (B, T), got ", shape.sizes());
  TORCH_CHECK(shape.size(1) > 0, tag, " input must have at least one time step, got ", shape.sizes());
  TORCH_CHECK(input.values.scalar_type() == w.w_ih.scalar_type(), tag, " input is ", input.values.scalar_type(),
              ", the weights are ", w.w_ih.scalar_type());
  TORCH_CHECK(w.b_ih.defined() == w.b_hh.defined(), tag, " needs both biases or none");
  for (const at::Tensor& bias : {w.b_ih, w.b_hh}) {
    TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == gates * H), tag, " biases must be (", gates * H,
                ")");
  }
  for (const at::Tensor& other : {input.ids, h0, c0, w.w_ih, w.w_hh, w.b_ih, w.b_hh}) {
    TORCH_CHECK(!other.defined() || other.device() == input.values.device(), tag, " input is on ",
                input.values.device(), ", another argument on ", other.device());
  }
  for (const at::Tensor& state : {h0, c0}) {
    TORCH_CHECK(!state.defined() || (state.dim() == 2 && state.size(0) == shape.size(0) && state.size(1) == H), tag,
                " the initial state must be (", shape.size(0), ", ", H, "), got ", state.sizes());
  }
}

bool Fused(const at::Tensor& values) { return values.device().is_cpu() && values.scalar_type() == c10::kFloat; }

RecurrentOutput Apply(Cell cell, const SequenceInput& input, const at::Tensor& h0, const at::Tensor& c0,
                      const RecurrentWeights& weights) {
  const int64_t B = input.shape().size(0), T = input.shape().size(1), H = weights.w_hh.size(1);
  const at::Tensor h = h0.defined() ? h0 : at::zeros({B, H}, input.values.options());
  const at::Tensor c = cell == Cell::kLstm && !c0.defined() ? at::zeros({B, H}, input.values.options()) : c0;
  auto context = c10::make_intrusive<Context>();
  context->cell = cell;
  context->precision = CurrentPrecision();
  context->recorder = tscore::Recorder::Current();
  context->parameters = weights;
  context->table = input.ids.defined() ? input.values : at::Tensor();
  context->ids = input.ids;
  const variable_list outputs = RecurrentFunction::apply(input.values, h, Maybe(c), weights.w_ih, weights.w_hh,
                                                         Maybe(weights.b_ih), Maybe(weights.b_hh), context);
  return {outputs[0], outputs[0].select(1, T - 1), cell == Cell::kLstm ? outputs[1] : at::Tensor()};
}

}  // namespace

RecurrentOutput Recurrent(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                          const RecurrentWeights& weights) {
  CheckShapes(cell, {input, {}}, h0, c0, weights);
  return Fused(input) ? Apply(cell, {input, {}}, h0, c0, weights) : RecurrentReference(cell, input, h0, c0, weights);
}

bool FoldsTable(const at::Tensor& ids, const at::Tensor& table) {
  const bool whole = ids.scalar_type() == c10::kLong || ids.scalar_type() == c10::kInt;
  return Fused(table) && whole && ids.device().is_cpu() && ids.dim() == 2 && table.dim() == 2 &&
         4 * table.size(0) < ids.numel();
}

RecurrentOutput RecurrentTable(Cell cell, const at::Tensor& ids, const at::Tensor& table, const at::Tensor& h0,
                               const at::Tensor& c0, const RecurrentWeights& weights) {
  // A copy: the backward reads the ids too, and must not meet others than the forward has checked.
  const SequenceInput input = {table, ids.to(c10::kLong, /*non_blocking=*/false, /*copy=*/true).contiguous()};
  CheckShapes(cell, input, h0, c0, weights);
  TORCH_CHECK(FoldsTable(ids, table) && table.size(1) == weights.w_ih.size(1), "the table must be (V, ",
              weights.w_ih.size(1), ") float32 on the CPU with V < B T / 4, got ", table.sizes());
  const int64_t low = input.ids.min().item<int64_t>(), high = input.ids.max().item<int64_t>();
  TORCH_CHECK_INDEX(low >= 0 && high < table.size(0), "[Embedding] id ", low < 0 ? low : high,
                    " is outside of the table's ", table.size(0), " rows (ids start at 0)");
  return Apply(cell, input, h0, c0, weights);
}

}  // namespace lanthorn::kernels
