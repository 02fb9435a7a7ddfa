#include "bindings/runner/library.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace lanthorn::runner {
namespace {

namespace fs = std::filesystem;

std::string& OverrideFolder() {
  static std::string folder;
  return folder;
}

std::optional<std::string> ReadOverride(std::string_view path) {
  if (OverrideFolder().empty() || path.find("..") != std::string_view::npos) return std::nullopt;
  std::ifstream in(fs::path(OverrideFolder()) / path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

void SetLibraryOverride(std::string folder) { OverrideFolder() = std::move(folder); }

std::optional<std::string> ReadLibraryFile(std::string_view path) {
  if (auto text = ReadOverride(path)) return text;
  const auto* end = kEmbeddedFiles + kEmbeddedFileCount;
  const auto* file =
      std::lower_bound(kEmbeddedFiles, end, path, [](const EmbeddedFile& f, std::string_view p) { return f.path < p; });
  if (file == end || file->path != path) {
    file = std::find_if(kEmbeddedAssets, kEmbeddedAssets + kEmbeddedAssetCount,
                        [&](const EmbeddedFile& f) { return f.path == path; });
    if (file == kEmbeddedAssets + kEmbeddedAssetCount) return std::nullopt;
  }
  return std::string(reinterpret_cast<const char*>(file->data), file->size);
}

std::vector<std::string> ListLibraryFiles(std::string_view prefix) {
  std::set<std::string> paths;
  for (std::size_t i = 0; i < kEmbeddedFileCount; ++i) paths.insert(kEmbeddedFiles[i].path);
  std::error_code error;  // an unreadable folder has been reported by main.cc
  if (!OverrideFolder().empty()) {
    for (const auto& entry : fs::recursive_directory_iterator(OverrideFolder(), error)) {
      if (entry.path().extension() == ".lua") paths.insert(entry.path().lexically_relative(OverrideFolder()).string());
    }
  }
  std::erase_if(paths, [&](const std::string& path) { return !path.starts_with(prefix); });
  return {paths.begin(), paths.end()};
}

}  // namespace lanthorn::runner
