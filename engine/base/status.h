// Failures of the world (files, configuration, data, devices) as absl::Status, with the exit code a run ends with.
// Messages put the subject first: "checkpoint 'x': header cut short".
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace lanthorn {

// Exit codes of the runner: the table is in the README.
enum class ExitCode {
  kOk = 0,
  kScript = 1,      // script or internal error
  kUsage = 2,       // command line
  kConfig = 3,      // configuration, override or plan
  kData = 4,        // data missing, empty, changed or unfit
  kCheckpoint = 5,  // checkpoint or weights unusable
  kNumerics = 6,    // non-finite, diverged, dead gradient, bad start
  kLimit = 7,       // stall, time, memory growth
  kMachine = 9,     // device, BLAS, memory, disk
};

// A failure that ends a run with `code`.
absl::Status Error(ExitCode code, const std::string& message);

inline absl::Status ConfigError(const std::string& message) { return Error(ExitCode::kConfig, message); }
inline absl::Status DataError(const std::string& message) { return Error(ExitCode::kData, message); }
inline absl::Status WeightsError(const std::string& message) { return Error(ExitCode::kCheckpoint, message); }
inline absl::Status NumericsError(const std::string& message) { return Error(ExitCode::kNumerics, message); }
inline absl::Status MachineError(const std::string& message) { return Error(ExitCode::kMachine, message); }

// The code given to Error(); kScript for a status made elsewhere, kOk for OK.
ExitCode ExitCodeOf(const absl::Status& status);

// The message alone, as a std::string (Debian's absl::string_view is not std::string_view).
std::string MessageOf(const absl::Status& status);

}  // namespace lanthorn

#define LANTHORN_CONCAT_INNER(a, b) a##b
#define LANTHORN_CONCAT(a, b) LANTHORN_CONCAT_INNER(a, b)

#define LANTHORN_RETURN_IF_ERROR(expression)                                \
  do {                                                                      \
    if (absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

#define LANTHORN_ASSIGN_OR_RETURN(declaration, expression) \
  LANTHORN_ASSIGN_OR_RETURN_IMPL(LANTHORN_CONCAT(status_or_, __LINE__), declaration, expression)
#define LANTHORN_ASSIGN_OR_RETURN_IMPL(holder, declaration, expression) \
  auto holder = (expression);                                           \
  if (!holder.ok()) return holder.status();                             \
  declaration = *std::move(holder)

// Aborts with file and line: for bugs in this program, never for bad input.
#define LANTHORN_CHECK(condition) \
  ((condition) ? void(0) : ::lanthorn::internal::CheckFailed(__FILE__, __LINE__, #condition))

namespace lanthorn::internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}  // namespace lanthorn::internal
