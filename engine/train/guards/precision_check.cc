#include "engine/train/guards/precision_check.h"

#include "absl/strings/str_cat.h"
#include "engine/base/text/tensor_format.h"
#include "engine/kernels/linear/pairs.h"

namespace lanthorn::train {
namespace {

bool AnyLowers(const nn::Module& module, kernels::Precision::Kind precision, nn::Module::Lowers how) {
  if (module.LowersTo(precision) == how) return true;
  for (const auto& [name, child] : module.children()) {
    if (AnyLowers(*child, precision, how)) return true;
  }
  return false;
}

}  // namespace

absl::Status CheckTrainingPrecision(const nn::Module& model, const kernels::Precision& precision, c10::Device device) {
  if (precision.kind == kernels::Precision::kFp32) {
    if (!precision.emulated) return absl::OkStatus();
    return ConfigError(
        "train.emulate=true: there is nothing to emulate in train.precision='fp32'; remove it, or set train.precision "
        "to 'bf16' or 'fp32_split'");
  }
  const std::string subject = absl::StrCat("train.precision='", kernels::PrecisionName(precision.kind), "': ");
  const bool by_library = AnyLowers(model, precision.kind, nn::Module::Lowers::kByLibrary);
  const bool by_pairs = AnyLowers(model, precision.kind, nn::Module::Lowers::kByPairs);
  if (!by_library && !by_pairs) {
    return ConfigError(
        subject +
        "no layer of this model computes in it (GRU and LSTM do, transformer blocks in 'bf16'); remove it "
        "or use 'fp32'");
  }
  if (!device.is_cpu()) {
    return ConfigError(
        absl::StrCat(subject, "only the CPU computes in it, training is on ", device.str(), "; use 'fp32'"));
  }
  for (const nn::NamedParameter& parameter : model.Parameters()) {
    if (parameter.tensor.scalar_type() == c10::kFloat) continue;
    return ConfigError(absl::StrCat(subject, "parameter '", parameter.name, "' is ",
                                    DtypeName(parameter.tensor.scalar_type()),
                                    ", all must be float32; use model:to('float32'), or 'fp32', which leaves every "
                                    "type as it is"));
  }
  if (by_pairs && !precision.emulated) LANTHORN_RETURN_IF_ERROR(kernels::CheckPairs());
  return by_library ? kernels::CheckPrecision(precision) : absl::OkStatus();
}

}  // namespace lanthorn::train
