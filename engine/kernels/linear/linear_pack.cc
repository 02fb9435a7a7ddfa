#include "engine/kernels/linear/linear_pack.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "engine/kernels/gemm/panels.h"
#include "engine/kernels/simd/for_threads.h"

namespace lanthorn::kernels {

at::Tensor PackForward(const at::Tensor& weight, int64_t nodes, int64_t out, int64_t in) {
  const int64_t panels = Panels(out);
  const at::Tensor packed = at::empty({nodes, panels, in, PanelWidth()}, weight.options());
  ForThreads(nodes * panels, [&](int64_t begin, int64_t end) {
    PackTransposed({weight.data_ptr<float>(), nodes, out, in}, begin, end, packed.data_ptr<float>());
  });
  return packed;
}

at::Tensor PackBackward(const at::Tensor& weight, int64_t nodes, int64_t out, int64_t in) {
  const int64_t panels = Panels(in), P = PanelWidth();
  const at::Tensor packed = at::empty({panels, nodes * Panels(out) * P, P}, weight.options());
  ForThreads(panels, [&](int64_t begin, int64_t end) {
    PackPlain({weight.data_ptr<float>(), nodes, out, in}, begin, end, packed.data_ptr<float>());
  });
  return packed;
}

at::Tensor PackBackwardEach(const at::Tensor& weight, int64_t nodes, int64_t out, int64_t in) {
  const int64_t panels = Panels(in), P = PanelWidth(), size = panels * Panels(out) * P * P;
  const at::Tensor packed = at::empty({nodes, panels, Panels(out) * P, P}, weight.options());
  ForThreads(nodes * panels, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t node = at / panels, first = at % panels, last = std::min(panels, first + end - at);
      PackPlain({weight.data_ptr<float>() + node * out * in, 1, out, in}, first, last,
                packed.data_ptr<float>() + node * size);
      at += last - first;
    }
  });
  return packed;
}

at::Tensor PadBias(const at::Tensor& bias, int64_t nodes, int64_t out) {
  if (!bias.defined()) return {};
  const at::Tensor padded = at::zeros({nodes, Panels(out) * PanelWidth()}, bias.options());
  padded.narrow(1, 0, out).copy_(bias.view({nodes, out}));
  return padded;
}

}  // namespace lanthorn::kernels
