// Compiled once per SIMD target by Highway's foreach_target.
#include "engine/kernels/gemm/panels.h"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/gemm/panels.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

int64_t PanelWidthImpl() { return kPanel; }

void PackTransposedImpl(const StackedWeight& w, int64_t begin, int64_t end, float* packed) {
  const int64_t panels = Panels(w.rows);
  for (int64_t job = begin; job < end; ++job) {
    const int64_t part = job / panels, p = job % panels;
    const int64_t rows = w.rows - p * kPanel < kPanel ? w.rows - p * kPanel : kPanel;
    TurnPanel(w.values + (part * w.rows + p * kPanel) * w.columns, rows, w.columns, w.columns,
              packed + job * w.columns * kPanel);
  }
}

void PackPlainImpl(const StackedWeight& w, int64_t begin, int64_t end, float* packed) {
  const int64_t padded = Panels(w.rows) * kPanel;
  for (int64_t p = begin; p < end; ++p) {
    const int64_t valid = w.columns - p * kPanel < kPanel ? w.columns - p * kPanel : kPanel;
    float* to = packed + p * w.parts * padded * kPanel;
    std::memset(to, 0, sizeof(float) * static_cast<size_t>(w.parts * padded * kPanel));
    for (int64_t part = 0; part < w.parts; ++part) {
      for (int64_t i = 0; i < w.rows; ++i) {
        std::memcpy(to + (part * padded + i) * kPanel, w.values + (part * w.rows + i) * w.columns + p * kPanel,
                    sizeof(float) * static_cast<size_t>(valid));
      }
    }
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(PanelWidthImpl);
HWY_EXPORT(PackTransposedImpl);
HWY_EXPORT(PackPlainImpl);

int64_t PanelWidth() { return HWY_DYNAMIC_DISPATCH(PanelWidthImpl)(); }
int64_t Panels(int64_t size) { return (size + PanelWidth() - 1) / PanelWidth(); }
void PackTransposed(const StackedWeight& w, int64_t begin, int64_t end, float* packed) {
  HWY_DYNAMIC_DISPATCH(PackTransposedImpl)(w, begin, end, packed);
}
void PackPlain(const StackedWeight& w, int64_t begin, int64_t end, float* packed) {
  HWY_DYNAMIC_DISPATCH(PackPlainImpl)(w, begin, end, packed);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
