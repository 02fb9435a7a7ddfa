// Tables in files of comma-separated values (RFC 4180), by columns.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn::data {

struct CsvOptions {
  char delimiter = ',';
  bool header = true;                            // the first line names the columns; else they are c1, c2 ...
  std::vector<std::string> text = {};            // columns that are text whatever is in them
  std::vector<std::string> missing_values = {};  // what stands for a missing value, beside nothing at all
};

struct CsvColumn {
  std::string name;
  bool is_text = false;
  at::Tensor values;                 // numbers: float64 (rows), NaN where missing; text: int64 (rows), -1 where missing
  std::vector<std::string> classes;  // of text: the values by number, in the order of appearance
  int64_t missing = 0;
  int64_t first_missing = 0;  // its line
};

struct Csv {
  std::vector<CsvColumn> columns;
  int64_t rows = 0;
};

// DataError with the line for ragged lines, an open quote, a file without rows, columns of one name, and for a column
// of numbers with something else in it; ConfigError for a column in `text` that does not exist.
absl::StatusOr<Csv> ReadCsv(const std::string& path, const CsvOptions& options);

}  // namespace lanthorn::data
