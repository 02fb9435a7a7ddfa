#include "engine/train/state/weights_hash.h"

#include <ATen/core/Tensor.h>

#include <sstream>

#include "engine/base/files/files.h"

namespace lanthorn::train {

std::string WeightsHash(const std::vector<nn::NamedParameter>& parameters) {
  constexpr size_t kEnd = size_t{2} << 20;
  std::ostringstream lines;
  for (const nn::NamedParameter& parameter : parameters) {
    const at::Tensor values = parameter.tensor.detach().to(c10::kCPU).contiguous();
    const std::string_view bytes(static_cast<const char*>(values.data_ptr()), values.nbytes());
    lines << parameter.name << ' ' << values.scalar_type() << ' ' << values.sizes() << ' ';
    if (bytes.size() <= 2 * kEnd) {
      lines << Sha256Hex(bytes) << '\n';
    } else {
      lines << Sha256Hex(bytes.substr(0, kEnd)) << ' ' << Sha256Hex(bytes.substr(bytes.size() - kEnd)) << '\n';
    }
  }
  return "sha256:" + Sha256Hex(lines.str());
}

}  // namespace lanthorn::train
