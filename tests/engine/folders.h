// Where tests find data, oracles and golden files.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace lanthorn {

inline std::string FolderFrom(const char* variable, const char* otherwise) {
  const char* folder = std::getenv(variable);
  return folder != nullptr && *folder != '\0' ? folder : otherwise;
}
inline std::string DataFolder() { return FolderFrom("RUNNER_DATA_DIR", LANTHORN_SOURCE_DIR "/../shared/data"); }
inline std::string OracleFolder() { return FolderFrom("RUNNER_ORACLE_DIR", LANTHORN_SOURCE_DIR "/../shared/oracle"); }

// A file that must be there: reading none is a failed test with the path.
inline nlohmann::json ReadJson(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << "cannot read " << path;
  return file.good() ? nlohmann::json::parse(file) : nlohmann::json();
}
inline nlohmann::json Golden(const std::string& name) { return ReadJson(LANTHORN_SOURCE_DIR "/tests/golden/" + name); }

}  // namespace lanthorn

// Skips the test when the folder is not there at all; a folder that lacks a file is a failure.
#define LANTHORN_NEEDS_FOLDER(folder) \
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "there is no folder " << (folder)
