// GRU and LSTM over sequences, with torch.nn's parameter names, gate order, initial values and dropout between layers.
#include "engine/kernels/recurrent/recurrent.h"

#include <ATen/Functions.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/nn/layer.h"

namespace lanthorn::nn {
namespace {

using kernels::Cell;

class RecurrentLayer final : public Module {
 public:
  RecurrentLayer(Cell cell, int64_t input, int64_t hidden, int64_t layers, bool bias, bool batch_first, double dropout)
      : Module(cell == Cell::kGru ? "GRU" : "LSTM"),
        cell_(cell),
        input_(input),
        hidden_(hidden),
        batch_first_(batch_first),
        dropout_(dropout) {
    const int64_t gates = kernels::GateCount(cell) * hidden;
    for (int64_t l = 0; l < layers; ++l) {
      const std::string suffix = "_l" + std::to_string(l);
      Parameters parameters;
      parameters.w_ih = &RegisterParameter("weight_ih" + suffix, at::empty({gates, l == 0 ? input : hidden}));
      parameters.w_hh = &RegisterParameter("weight_hh" + suffix, at::empty({gates, hidden}));
      if (bias) {
        parameters.b_ih = &RegisterParameter("bias_ih" + suffix, at::empty({gates}));
        parameters.b_hh = &RegisterParameter("bias_hh" + suffix, at::empty({gates}));
      }
      layers_.push_back(parameters);
    }
    const double bound = hidden > 0 ? 1.0 / std::sqrt(static_cast<double>(hidden)) : 0;
    at::NoGradGuard no_grad;
    for (const NamedParameter& parameter : Module::Parameters()) parameter.tensor.uniform_(-bound, bound);
  }

  Lowers LowersTo(kernels::Precision::Kind) const override { return Lowers::kByLibrary; }
  int64_t StateSize() const override { return cell_ == Cell::kGru ? 1 : 2; }

  // state: h (layers, B, H), and c of the same shape for the LSTM.
  at::Tensor Compute(const at::Tensor& input, State* state) override {
    TORCH_CHECK(input.dim() == 3, "[", kind(), "] input must be ", batch_first_ ? "(B, T, " : "(T, B, ", input_,
                "), got ", input.sizes());
    if (const auto recorder = tscore::Recorder::Current(); recorder != nullptr && !batch_first_) {
      recorder->Refuse(kind() + " with batch_first=false has time in dimension 0; use batch_first=true");
    }
    const at::Tensor x = batch_first_ ? input : input.transpose(0, 1);
    const at::Tensor y = Layers(x.size(0), state, [&](const at::Tensor& h, const at::Tensor& c) {
      return kernels::Recurrent(cell_, x, h, c, layers_[0].Weights());
    });
    return batch_first_ ? y : y.transpose(0, 1);
  }

  std::optional<at::Tensor> ForwardRows(const at::Tensor& ids, const at::Tensor& table, State* state) override {
    if (!batch_first_ || table.size(1) != input_ || !kernels::FoldsTable(ids, table)) return std::nullopt;
    return Layers(ids.size(0), state, [&](const at::Tensor& h, const at::Tensor& c) {
      return kernels::RecurrentTable(cell_, ids, table, h, c, layers_[0].Weights());
    });
  }

  std::string Describe() const override {
    std::string text = absl::StrFormat("%s(%d, %d, num_layers=%d", kind(), input_, hidden_, layers_.size());
    if (dropout_ > 0) absl::StrAppendFormat(&text, ", dropout=%g", dropout_);
    return text + (layers_[0].b_ih == nullptr ? ", bias=false)" : ")");
  }

 protected:
  bool DecodesItself() const override { return true; }  // by its state

 private:
  struct Parameters {
    at::Tensor *w_ih = nullptr, *w_hh = nullptr, *b_ih = nullptr, *b_hh = nullptr;
    kernels::RecurrentWeights Weights() const {
      return {*w_ih, *w_hh, b_ih != nullptr ? *b_ih : at::Tensor(), b_hh != nullptr ? *b_hh : at::Tensor()};
    }
  };

  // Runs all layers, the first one through `first`(h0, c0); output (B, T, H).
  template <class First>
  at::Tensor Layers(int64_t batch, State* state, First first) const {
    const bool carried = state != nullptr && !state->empty();
    TORCH_CHECK(!carried || static_cast<int64_t>(state->size()) == StateSize(), "[", kind(), "] state must hold ",
                StateSize(), " tensors, got ", state->size());
    if (carried) {
      for (const at::Tensor& part : *state) CheckState(part, batch);
    }
    at::Tensor x;
    std::vector<at::Tensor> h, c;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const int64_t at = static_cast<int64_t>(l);
      const at::Tensor h0 = carried ? (*state)[0][at] : at::Tensor();
      const at::Tensor c0 = carried && cell_ == Cell::kLstm ? (*state)[1][at] : at::Tensor();
      if (l > 0 && dropout_ > 0 && training()) x = at::dropout(x, dropout_, /*train=*/true);
      const kernels::RecurrentOutput result =
          l == 0 ? first(h0, c0) : kernels::Recurrent(cell_, x, h0, c0, layers_[l].Weights());
      x = result.output;
      if (state == nullptr) continue;
      h.push_back(result.h);
      if (result.c.defined()) c.push_back(result.c);
    }
    if (state != nullptr) {
      *state = {at::stack(h)};
      if (cell_ == Cell::kLstm) state->push_back(at::stack(c));
    }
    return x;
  }

  void CheckState(const at::Tensor& part, int64_t batch) const {
    const int64_t layers = static_cast<int64_t>(layers_.size());
    TORCH_CHECK(part.dim() == 3 && part.size(0) == layers && part.size(1) == batch && part.size(2) == hidden_, "[",
                kind(), "] state must be (", layers, ", ", batch, ", ", hidden_, "), got ", part.sizes());
  }

  Cell cell_;
  int64_t input_, hidden_;
  bool batch_first_;
  double dropout_;
  std::vector<Parameters> layers_;
};

template <Cell cell>
std::shared_ptr<Module> Make(int64_t input, int64_t hidden, int64_t layers, bool bias, bool batch_first,
                             double dropout) {
  const char* tag = cell == Cell::kGru ? "[GRU]" : "[LSTM]";
  TORCH_CHECK(input > 0 && hidden > 0 && layers > 0, tag, " sizes and num_layers must be positive, got ", input, ", ",
              hidden, ", ", layers);
  TORCH_CHECK(dropout >= 0 && dropout < 1, tag, " dropout must be in [0, 1), got ", dropout);
  return std::make_shared<RecurrentLayer>(cell, input, hidden, layers, bias, batch_first, dropout);
}

const RegisterLayer gru(
    {"GRU(int input_size, int hidden_size, int num_layers=1, bool bias=True, bool batch_first=True, float dropout=0.)",
     "r = sig(W_ir x + b_ir + W_hr h + b_hr), z = sig(W_iz x + b_iz + W_hz h + b_hz), n = tanh(W_in x + b_in + r (W_hn "
     "h + b_hn)), "
     "h' = (1 - z) n + z h; dropout between layers. in (B, T, input_size); out (B, T, hidden_size), state (num_layers, "
     "B, "
     "hidden_size). Unlike torch.nn.GRU the batch comes first by default. Cho et al. 2014.",
     "nn.GRU{8, 16, num_layers=2}(torch.randn{3, 5, 8})", &Make<Cell::kGru>});
const RegisterLayer lstm(
    {"LSTM(int input_size, int hidden_size, int num_layers=1, bool bias=True, bool batch_first=True, float dropout=0.)",
     "i, f, o = sig(...), g = tanh(...), c' = f c + i g, h' = o tanh(c'); dropout between layers. in (B, T, "
     "input_size); out (B, "
     "T, hidden_size), state {h, c}, each (num_layers, B, hidden_size). Unlike torch.nn.LSTM the batch comes first by "
     "default. Hochreiter and Schmidhuber 1997.",
     "nn.LSTM{8, 16}(torch.randn{3, 5, 8})", &Make<Cell::kLstm>});

}  // namespace
}  // namespace lanthorn::nn
