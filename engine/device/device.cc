#include "engine/device/device.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "absl/strings/str_join.h"

namespace lanthorn::device {
namespace {

int CudaDevices() { return at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0; }

bool ParseIndex(const std::string& text, int* index) {
  if (text.empty() || text.size() > 3 || text.find_first_not_of("0123456789") != std::string::npos) return false;
  *index = std::stoi(text);
  return true;
}

}  // namespace

absl::StatusOr<c10::Device> Resolve(const std::string& name) {
  const int cuda = CudaDevices();
  if (name == "cpu") return c10::Device(c10::DeviceType::CPU);
  if (name == "meta") return c10::Device(c10::DeviceType::Meta);
  if (name == "auto") return cuda > 0 ? c10::Device(c10::DeviceType::CUDA, 0) : c10::Device(c10::DeviceType::CPU);
  int index = 0;
  if (name != "cuda" && !(name.rfind("cuda:", 0) == 0 && ParseIndex(name.substr(5), &index))) {
    return ConfigError("device '" + name + "' is not known; use cpu, cuda, cuda:N or auto");
  }
  if (!at::hasCUDA()) {
    return MachineError("device '" + name +
                        "' not available: this LibTorch has no CUDA; use device=cpu or device=auto");
  }
  if (index >= cuda) {
    return MachineError("device '" + name + "' not available; present: " + absl::StrJoin(Available(), ", "));
  }
  return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
}

std::vector<std::string> Available() {
  std::vector<std::string> names = {"cpu"};
  for (int i = 0; i < CudaDevices(); ++i) names.push_back("cuda:" + std::to_string(i));
  return names;
}

}  // namespace lanthorn::device
