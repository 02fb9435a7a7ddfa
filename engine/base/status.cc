#include "engine/base/status.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/cord.h"

namespace lanthorn {
namespace {
constexpr char kPayload[] = "lanthorn/exit";

absl::StatusCode CodeFor(ExitCode code) {
  switch (code) {
    case ExitCode::kOk:
      return absl::StatusCode::kOk;
    case ExitCode::kUsage:
    case ExitCode::kConfig:
      return absl::StatusCode::kInvalidArgument;
    case ExitCode::kData:
    case ExitCode::kCheckpoint:
      return absl::StatusCode::kDataLoss;
    case ExitCode::kNumerics:
      return absl::StatusCode::kOutOfRange;
    case ExitCode::kLimit:
      return absl::StatusCode::kResourceExhausted;
    case ExitCode::kMachine:
      return absl::StatusCode::kFailedPrecondition;
    case ExitCode::kScript:
      break;
  }
  return absl::StatusCode::kInternal;
}
}  // namespace

absl::Status Error(ExitCode code, const std::string& message) {
  absl::Status status(CodeFor(code), message);
  status.SetPayload(kPayload, absl::Cord(std::to_string(static_cast<int>(code))));
  return status;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return ExitCode::kOk;
  if (auto payload = status.GetPayload(kPayload)) return static_cast<ExitCode>(std::stoi(std::string(*payload)));
  return ExitCode::kScript;
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

namespace internal {
void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "lanthorn bug: %s:%d: %s does not hold\n", file, line, condition);
  std::abort();
}
}  // namespace internal
}  // namespace lanthorn
