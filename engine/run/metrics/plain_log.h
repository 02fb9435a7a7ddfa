// stdout.log: what a run printed, as plain text.
#pragma once

#include <string>

#include "engine/base/files/files.h"
#include "engine/base/status.h"

namespace lanthorn {

// Removes ANSI escape sequences (colours, cursor movement, titles), also those cut in two between calls.
class AnsiStripper {
 public:
  std::string Strip(const std::string& text);

 private:
  enum class State { kText, kEscape, kIntermediate, kControl, kString, kStringEscape };
  State state_ = State::kText;
};

// Appends to a file. Not synchronised: the owner calls it from one thread at a time.
class PlainLog {
 public:
  static absl::StatusOr<PlainLog> Open(const std::string& path);

  // MachineError when the disk refuses.
  absl::Status Append(const std::string& text);

 private:
  PlainLog(std::string path, FileDescriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  FileDescriptor fd_;
  AnsiStripper stripper_;
};

}  // namespace lanthorn
