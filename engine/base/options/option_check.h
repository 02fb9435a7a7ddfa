// Options checked against their rows (option_row.h).
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/options/option_row.h"
#include "engine/base/status.h"
#include "engine/base/text/nearest.h"

namespace lanthorn {

class OptionCheck {
 public:
  explicit OptionCheck(std::string section) : section_(std::move(section)) {}

  template <typename T>
  void operator()(const OptionRow& row, const T& member) {
    if (!status_.ok()) return;
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      if (!(static_cast<double>(member) >= row.least))
        status_ = ConfigError(
            absl::StrCat(section_, ": option '", row.name, "' must be at least ", row.least, ", got ", member));
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (row.one_of.empty()) return;
      for (const std::string& one : row.one_of) {
        if (one == member) return;
      }
      status_ = UnknownText(section_, row, member);
    }
  }

  // The error for a text that an option cannot be.
  static absl::Status UnknownText(const std::string& section, const OptionRow& row, const std::string& text) {
    return ConfigError(absl::StrCat(section, ": option '", row.name, "' is '", text, "', expected one of ",
                                    absl::StrJoin(row.one_of, ", "), DidYouMean(text, row.one_of)));
  }

  const absl::Status& status() const { return status_; }

 private:
  std::string section_;
  absl::Status status_;
};

// The first option whose value its row does not allow, or OK. `section` begins the message: "train".
template <typename Options>
absl::Status CheckOptionRows(const std::string& section, Options options) {
  OptionCheck check(section);
  Fields(check, options);
  return check.status();
}

}  // namespace lanthorn
