// To be included before hwy/foreach_target.h: leaves out the targets whose vectors have no size at compile time,
// because the kernels keep vectors in arrays.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
