#include "engine/kernels/gemm/precision.h"

#include <dnnl.hpp>

#include "absl/strings/str_cat.h"
#include "engine/base/text/nearest.h"
#include "engine/kernels/gemm/matmul_primitive.h"

namespace lanthorn::kernels {
namespace {
thread_local Precision current;
}

absl::StatusOr<Precision::Kind> ParsePrecision(const std::string& name) {
  for (const Precision::Kind kind : {Precision::kFp32, Precision::kFp32Split, Precision::kBf16}) {
    if (name == PrecisionName(kind)) return kind;
  }
  return ConfigError(absl::StrCat("precision '", name, "' is not known; use fp32, fp32_split or bf16",
                                  DidYouMean(name, {"fp32", "fp32_split", "bf16"})));
}

const char* PrecisionName(Precision::Kind kind) {
  switch (kind) {
    case Precision::kFp32Split:
      return "fp32_split";
    case Precision::kBf16:
      return "bf16";
    default:
      return "fp32";
  }
}

absl::Status CheckPrecision(const Precision& precision) {
  if (precision.kind == Precision::kFp32 && precision.emulated)
    return ConfigError("precision 'fp32' is what the CPU computes in; there is nothing to emulate");
  if (precision.kind == Precision::kFp32 || precision.emulated) return absl::OkStatus();
  if (MatmulPrimitive::Supported(dnnl::memory::data_type::bf16)) return absl::OkStatus();
  const dnnl_version_t& version = *dnnl_version();
  return MachineError(absl::StrCat("precision '", PrecisionName(precision.kind),
                                   "' needs bf16 products, and this CPU has none that oneDNN ", version.major, ".",
                                   version.minor, ".", version.patch,
                                   " can use (AVX-512 or AMX is needed; `runner doctor` shows what there is); use ",
                                   "precision='fp32', or train.emulate=true for the same rounding without the speed"));
}

PrecisionScope::PrecisionScope(const Precision& precision) : before_(current) { current = precision; }
PrecisionScope::~PrecisionScope() { current = before_; }
const Precision& CurrentPrecision() { return current; }

}  // namespace lanthorn::kernels
