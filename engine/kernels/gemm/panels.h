// Weights cut into panels for the register tile of simd/, which all fused kernels multiply with.
#pragma once

#include <cstdint>

namespace lanthorn::kernels {

// Columns of a panel: two SIMD vectors of the CPU this runs on.
int64_t PanelWidth();
// Panels that `size` columns fill.
int64_t Panels(int64_t size);

// Weights of one shape below each other: the gates of a recurrent layer, or the nodes of a tree.
struct StackedWeight {
  const float* values;           // (parts * rows, columns)
  int64_t parts, rows, columns;  // rows of a part: its outputs
};

// For products with W^T: [part][panel of rows][columns][P] with zeros behind the last row. Packs the panels
// [begin, end) of the parts * panels there are.
void PackTransposed(const StackedWeight& w, int64_t begin, int64_t end, float* packed);
// For products with W: [panel of columns][part][padded rows][P]. Packs the panels [begin, end) of the columns.
void PackPlain(const StackedWeight& w, int64_t begin, int64_t end, float* packed);

}  // namespace lanthorn::kernels
