#include "engine/data/formats/image.h"

#include <ATen/Functions.h>
#include <stb/stb_image.h>

#include <memory>

#include "absl/strings/str_format.h"
#include "engine/base/files/files.h"

namespace lanthorn::data {

absl::StatusOr<at::Tensor> ReadImage(const std::string& path, int64_t channels) {
  if (channels != 0 && channels != 1 && channels != 3)
    return ConfigError(absl::StrFormat("pictures have 1 or 3 channels, or 0 for what the file has, got %d", channels));
  LANTHORN_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  const auto* const data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0, height = 0, found = 0;
  const int size = static_cast<int>(bytes.size());
  if (stbi_info_from_memory(data, size, &width, &height, &found) == 0)
    return DataError(absl::StrFormat("'%s': not a readable picture (%s)", path, stbi_failure_reason()));
  if (channels == 0) channels = found < 3 ? 1 : 3;
  const std::unique_ptr<unsigned char, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(data, size, &width, &height, &found, static_cast<int>(channels)), &stbi_image_free);
  if (pixels == nullptr) return DataError(absl::StrFormat("'%s': damaged (%s)", path, stbi_failure_reason()));
  const at::Tensor rows = at::from_blob(pixels.get(), {height, width, channels}, at::TensorOptions(c10::kByte));
  return rows.permute({2, 0, 1}).contiguous();
}

}  // namespace lanthorn::data
