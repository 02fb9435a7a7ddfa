// What must hold before a model trains in a lower precision.
#pragma once

#include "engine/kernels/gemm/precision.h"
#include "engine/nn/module.h"

namespace lanthorn::train {

// OK for fp32. For a lower precision (options train.precision and train.emulate): some layer computes in it, all
// parameters are float32, training is on the CPU, else a config error; and the CPU multiplies in it, else a machine
// error. Emulation without a lower precision is a config error.
absl::Status CheckTrainingPrecision(const nn::Module& model, const kernels::Precision& precision, c10::Device device);

}  // namespace lanthorn::train
