// A folder that lives as long as its object, for tests that write files.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace lanthorn {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lanthorn-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data()) == nullptr ? "/nowhere" : pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace lanthorn
