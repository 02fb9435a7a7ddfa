#include "engine/kernels/precision.h"

#include <dnnl.hpp>

#include "absl/strings/str_cat.h"
#include "engine/base/nearest.h"
#include "engine/kernels/matmul_primitive.h"

namespace lanthorn::kernels {
namespace {
thread_local Precision current;
}

absl::StatusOr<Precision::Kind> ParsePrecision(const std::string& name) {
  if (name == "fp32") return Precision::kFp32;
  if (name == "fp32_split") return Precision::kFp32Split;
  if (name == "bf16") return Precision::kBf16;
  return ConfigError(absl::StrCat("precision '", name, "' is none of fp32, fp32_split, bf16"));
}

absl::Status CheckPrecision(const Precision& precision) {
  if (precision.kind == Precision::kFp32 && precision.emulated)
    return ConfigError("precision 'fp32' is what the CPU computes in; there is nothing to emulate");
  if (precision.kind == Precision::kFp32 || precision.emulated) return absl::OkStatus();
  if (MatmulPrimitive::Supported(dnnl::memory::data_type::bf16)) return absl::OkStatus();
  const dnnl_version_t& version = *dnnl_version();
  return MachineError(absl::StrCat("precision '", precision.kind == Precision::kBf16 ? "bf16" : "fp32_split",
                                   "' needs bf16 products, and this CPU has none that oneDNN ", version.major, ".",
                                   version.minor, ".", version.patch,
                                   " can use (AVX-512 or AMX is needed; `runner doctor` shows what there is); use ",
                                   "precision='fp32', or train.emulate=true for the same rounding without the speed"));
}

PrecisionScope::PrecisionScope(const Precision& precision) : before_(current) { current = precision; }
PrecisionScope::~PrecisionScope() { current = before_; }
const Precision& CurrentPrecision() { return current; }

}  // namespace lanthorn::kernels
