// Ids on their way into a file, in the smallest type that holds them: the file begins with one byte for each and is
// rewritten with two or four when an id does not fit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/files/files.h"

namespace lanthorn::data {

class IdWriter {
 public:
  // A file that has no name before Publish. The status tells when the folder cannot be written.
  static IdWriter InFile(const std::string& path);
  // A file that lives in memory and never gets a name.
  static IdWriter InMemory();

  // Leaves so many bytes free at the beginning. Before anything is appended.
  void Reserve(size_t bytes);
  // Appends ids; after a failure nothing happens.
  void Append(const std::vector<uint32_t>& ids);
  // Appends bytes behind the last id; no ids may follow.
  void AppendBytes(const std::string& bytes);
  // Fills the reserved place.
  void WriteHeader(const void* header, size_t bytes);
  // Gives the file its name, in place of one that has it. MachineError when that fails.
  absl::Status Publish();

  int width() const { return width_; }
  int64_t count() const { return count_; }
  int fd() const { return fd_.get(); }
  // The first failure.
  const absl::Status& status() const { return status_; }

 private:
  // An open file without a name, and the name to remove should it have one already.
  struct Draft {
    FileDescriptor fd;
    std::string named;
  };
  static absl::StatusOr<Draft> MakeDraft(const std::string& path);
  void Write(const void* data, size_t bytes);
  void Widen(int width);

  std::string path_;   // empty: in memory
  std::string named_;  // the draft's own name where the file system knows no nameless files
  FileDescriptor fd_;
  absl::Status status_;
  size_t reserved_ = 0;
  int width_ = 1;
  int64_t count_ = 0;
  std::vector<char> narrow_;

 public:
  IdWriter() = default;
  IdWriter(IdWriter&&) = default;
  ~IdWriter();
};

}  // namespace lanthorn::data
