// The BLAS that this process has loaded, as it describes itself.
#pragma once

#include <string>

namespace lanthorn {

// OpenBLAS's own description, such as "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY Zen MAX_THREADS=64".
std::string BlasConfig();

// How its threads are made: "openmp", "pthreads", "sequential" or "unknown". Beside LibTorch, which uses OpenMP, a
// pthread build is a second pool of threads on the same cores.
std::string BlasThreading();

}  // namespace lanthorn
