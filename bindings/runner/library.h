// The Lua library inside the binary: contents by path below scripts/, such as "lib/fail.lua".
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lanthorn::runner {

struct EmbeddedFile {
  const char* path;
  const unsigned char* data;
  std::size_t size;
};

// Written by embed.cmake, sorted by path.
extern const EmbeddedFile kEmbeddedFiles[];
extern const std::size_t kEmbeddedFileCount;

// Files that pages are made of, below the assets/ of their rooms; written by embed_assets.cmake.
extern const EmbeddedFile kEmbeddedAssets[];
extern const std::size_t kEmbeddedAssetCount;

// Files below `folder` take the place of embedded ones of the same path (`--scripts DIR`); empty: none.
void SetLibraryOverride(std::string folder);

// The contents of a library file or asset, or nothing when there is none of that path.
std::optional<std::string> ReadLibraryFile(std::string_view path);

// Sorted paths that begin with `prefix`.
std::vector<std::string> ListLibraryFiles(std::string_view prefix);

}  // namespace lanthorn::runner
