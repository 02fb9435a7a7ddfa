// What a run's numbers depend on besides its script: the machine and the libraries.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lanthorn {

// {cpu s, flags [s], cores i (physical), cpus i (usable by this process), threads i (of LibTorch), memory_bytes i,
// kernel s, load_average f (1 minute), host s, boot_id s, blas s, blas_threading s}. `flags` lists those of avx2,
// avx512f, avx512_bf16 and amx_bf16 that the CPU has. What the system does not tell is "unknown" or 0.
nlohmann::json MachineFingerprint();

// {lanthorn, libtorch, abseil, blas, compiler: s}. The caller adds what this layer does not link, such as luajit.
nlohmann::json LibraryVersions();

}  // namespace lanthorn
