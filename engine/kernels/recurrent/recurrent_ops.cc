// The recurrent layers as operators of LibTorch's dispatcher, `lanthorn::*`, for callers that have tensors and no
// layer.
#include <torch/library.h>

#include <tuple>

#include "engine/base/torch_compat.h"
#include "engine/kernels/recurrent/recurrent.h"

namespace lanthorn::kernels {
namespace {

using MaybeTensor = compat::Optional<at::Tensor>;

at::Tensor Or(const MaybeTensor& tensor) { return tensor ? *tensor : at::Tensor(); }

std::tuple<at::Tensor, at::Tensor> GruSequence(const at::Tensor& input, const at::Tensor& w_ih, const at::Tensor& w_hh,
                                               const MaybeTensor& b_ih, const MaybeTensor& b_hh,
                                               const MaybeTensor& h0) {
  const RecurrentOutput y = Recurrent(Cell::kGru, input, Or(h0), {}, {w_ih, w_hh, Or(b_ih), Or(b_hh)});
  return {y.output, y.h};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> LstmSequence(const at::Tensor& input, const at::Tensor& w_ih,
                                                            const at::Tensor& w_hh, const MaybeTensor& b_ih,
                                                            const MaybeTensor& b_hh, const MaybeTensor& h0,
                                                            const MaybeTensor& c0) {
  const RecurrentOutput y = Recurrent(Cell::kLstm, input, Or(h0), Or(c0), {w_ih, w_hh, Or(b_ih), Or(b_hh)});
  return {y.output, y.h, y.c};
}

TORCH_LIBRARY_FRAGMENT(lanthorn, m) {
  m.def(
      "gru_sequence(Tensor input, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None, Tensor? h0=None) -> "
      "(Tensor output, Tensor h)",
      &GruSequence);
  m.def(
      "lstm_sequence(Tensor input, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None, Tensor? h0=None, "
      "Tensor? c0=None) -> (Tensor output, Tensor h, Tensor c)",
      &LstmSequence);
}

}  // namespace
}  // namespace lanthorn::kernels
