#include "engine/base/blas.h"

// OpenBLAS, which Debian ships without a header under the OpenMP build's folder.
extern "C" char* openblas_get_config(void);
extern "C" int openblas_get_parallel(void);

namespace lanthorn {

std::string BlasConfig() { return openblas_get_config(); }

std::string BlasThreading() {
  switch (openblas_get_parallel()) {
    case 0:
      return "sequential";
    case 1:
      return "pthreads";
    case 2:
      return "openmp";
    default:
      return "unknown";
  }
}

}  // namespace lanthorn
