// Which numeric libraries this process really runs on, as the loaded libraries themselves tell.
#pragma once

#include <string>
#include <vector>

namespace lanthorn::device {

struct Libraries {
  std::string blas;                       // OpenBLAS's description of itself
  std::string blas_threading;             // "openmp", "pthreads", "sequential" or "unknown"
  std::vector<std::string> blas_files;    // every loaded library that brings BLAS kernels; more than one is a fault
  std::vector<std::string> openmp_files;  // every loaded OpenMP runtime; more than one is a fault
  std::string onednn;                     // version, "2.6.3"
  std::string onednn_isa;                 // the instruction set it uses here, "avx2"
  std::string bf16;                       // what multiplies bf16 in oneDNN: "amx", "avx512_bf16", or "none" (emulated)
  std::string libtorch;                   // version, "1.13.1"
  bool cuda_built = false;                // this LibTorch has CUDA
  int cuda_devices = 0;                   // and so many devices are there
};

Libraries LoadedLibraries();

}  // namespace lanthorn::device
