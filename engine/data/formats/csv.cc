#include "engine/data/formats/csv.h"

#include <ATen/Functions.h>
#include <csv.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "engine/base/files/files.h"
#include "engine/base/text/nearest.h"

namespace lanthorn::data {
namespace {

// The cells of a file, all in one string.
class Cells {
 public:
  explicit Cells(const std::string& path) : path_(path) {}

  absl::Status Read(char delimiter) {
    LANTHORN_ASSIGN_OR_RETURN(std::string text, ReadFile(path_));
    if (text.rfind("\xEF\xBB\xBF", 0) == 0) text.erase(0, 3);
    csv_parser parser;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) != 0) return MachineError("csv: no memory");
    const std::unique_ptr<csv_parser, decltype(&csv_free)> freed(&parser, &csv_free);
    csv_set_delim(&parser, static_cast<unsigned char>(delimiter));
    const auto problem = [&] {
      return DataError(absl::StrFormat("'%s', line %d: %s", path_, line_,
                                       csv_error(&parser) == CSV_EPARSE
                                           ? "a quote in the middle of a field, or one that is never closed"
                                           : csv_strerror(csv_error(&parser))));
    };
    if (csv_parse(&parser, text.data(), text.size(), &OnCell, &OnLine, this) != text.size()) return problem();
    if (csv_fini(&parser, &OnCell, &OnLine, this) != 0) return problem();
    return status_;
  }

  // Lines of cells; the first is line 1 of the file.
  int64_t lines() const { return static_cast<int64_t>(line_numbers_.size()); }
  int64_t line_number(int64_t line) const { return line_numbers_[static_cast<size_t>(line)]; }
  int64_t width() const { return width_; }
  std::string cell(int64_t line, int64_t column) const {
    const auto at = static_cast<size_t>(line * width_ + column);
    const size_t begin = at == 0 ? 0 : ends_[at - 1];
    return pool_.substr(begin, ends_[at] - begin);
  }

 private:
  static void OnCell(void* cell, size_t size, void* self) {
    auto* const cells = static_cast<Cells*>(self);
    const char* const text = static_cast<const char*>(cell);
    cells->pool_.append(text, size);
    cells->ends_.push_back(cells->pool_.size());
    cells->last_end_ = 0;
    cells->lines_within_ += std::count(text, text + size, '\n');
    ++cells->in_line_;
  }
  static void OnLine(int end, void* self) { static_cast<Cells*>(self)->EndLine(end); }
  void EndLine(int end) {
    const bool of_pair = end == '\n' && last_end_ == '\r' && in_line_ == 0;  // CR LF comes as two ends
    last_end_ = end;
    if (of_pair) return;
    if (in_line_ > 0 && status_.ok()) {
      if (width_ == 0) width_ = in_line_;
      if (in_line_ == width_) {
        line_numbers_.push_back(line_);
      } else {
        status_ = DataError(absl::StrFormat("'%s', line %d: %d fields, line %d has %d", path_, line_, in_line_,
                                            line_numbers_.front(), width_));
      }
    }
    line_ += 1 + lines_within_;
    in_line_ = lines_within_ = 0;
  }

  std::string path_, pool_;
  std::vector<size_t> ends_;
  std::vector<int64_t> line_numbers_;
  int64_t width_ = 0, in_line_ = 0, line_ = 1, lines_within_ = 0;
  int last_end_ = 0;
  absl::Status status_;
};

bool ParseNumber(const std::string& text, double* value) {
  const std::string plain(absl::StripAsciiWhitespace(text));
  // The library's words for infinity and NaN are words here.
  if (plain.empty() || plain.find_first_not_of("+-.0123456789eE") != std::string::npos) return false;
  return absl::SimpleAtod(plain, value);
}

class ColumnReader {
 public:
  ColumnReader(const Cells& cells, const std::string& path, const CsvOptions& options, int64_t first)
      : cells_(cells), path_(path), options_(options), first_(first), rows_(cells.lines() - first) {}

  absl::StatusOr<CsvColumn> Read(int64_t at, const std::string& name) const {
    CsvColumn column;
    column.name = name;
    column.is_text = std::count(options_.text.begin(), options_.text.end(), name) > 0;
    column.values = at::full({rows_}, std::numeric_limits<double>::quiet_NaN(), at::TensorOptions(c10::kDouble));
    double* const values = column.values.data_ptr<double>();
    int64_t numbers = 0, others = 0, odd = -1;
    for (int64_t row = 0; row < rows_; ++row) {
      const std::string cell = cells_.cell(first_ + row, at);
      if (IsMissing(cell)) {
        if (column.missing++ == 0) column.first_missing = cells_.line_number(first_ + row);
      } else if (!column.is_text && ParseNumber(cell, &values[row])) {
        ++numbers;
      } else if (others++ == 0) {
        odd = row;
      }
    }
    if (!column.is_text && others > 0 && numbers >= others) {
      return DataError(absl::StrFormat(
          "'%s', line %d: column '%s' has '%s', which is not a number, as %d of its %d values are; if it marks a "
          "missing value, add missing_values={'%s'}; if the column is text, text={'%s'}",
          path_, cells_.line_number(first_ + odd), name, cells_.cell(first_ + odd, at), numbers, numbers + others,
          cells_.cell(first_ + odd, at), name));
    }
    if (column.is_text || others > 0) ReadText(at, &column);
    return column;
  }

 private:
  bool IsMissing(const std::string& cell) const {
    const std::string plain(absl::StripAsciiWhitespace(cell));
    return plain.empty() || std::count(options_.missing_values.begin(), options_.missing_values.end(), plain) > 0;
  }
  void ReadText(int64_t at, CsvColumn* column) const {
    column->is_text = true;
    column->values = at::full({rows_}, -1, at::TensorOptions(c10::kLong));
    int64_t* const values = column->values.data_ptr<int64_t>();
    absl::flat_hash_map<std::string, int64_t> numbers;
    for (int64_t row = 0; row < rows_; ++row) {
      const std::string cell = cells_.cell(first_ + row, at);
      if (IsMissing(cell)) continue;
      const auto [it, fresh] = numbers.try_emplace(cell, static_cast<int64_t>(numbers.size()));
      if (fresh) column->classes.push_back(cell);
      values[row] = it->second;
    }
  }

  const Cells& cells_;
  const std::string& path_;
  const CsvOptions& options_;
  int64_t first_, rows_;
};

}  // namespace

absl::StatusOr<Csv> ReadCsv(const std::string& path, const CsvOptions& options) {
  Cells cells(path);
  LANTHORN_RETURN_IF_ERROR(cells.Read(options.delimiter));
  const int64_t first = options.header ? 1 : 0;
  Csv csv;
  csv.rows = cells.lines() - first;
  if (csv.rows < 1)
    return DataError(absl::StrFormat("'%s' has no rows%s", path, cells.lines() > 0 ? " below its header" : ""));
  std::vector<std::string> names;
  for (int64_t i = 0; i < cells.width(); ++i) {
    std::string name = options.header ? std::string(absl::StripAsciiWhitespace(cells.cell(0, i))) : "";
    if (name.empty()) name = absl::StrCat("c", i + 1);
    if (std::count(names.begin(), names.end(), name) > 0)
      return DataError(absl::StrFormat("'%s', line 1: two columns are called '%s'", path, name));
    names.push_back(std::move(name));
  }
  for (const std::string& name : options.text) {
    if (std::count(names.begin(), names.end(), name) == 0)
      return ConfigError(absl::StrFormat("'%s' has no column '%s'%s", path, name, DidYouMean(name, names)));
  }
  const ColumnReader reader(cells, path, options, first);
  for (int64_t i = 0; i < cells.width(); ++i) {
    LANTHORN_ASSIGN_OR_RETURN(CsvColumn column, reader.Read(i, names[static_cast<size_t>(i)]));
    csv.columns.push_back(std::move(column));
  }
  return csv;
}

}  // namespace lanthorn::data
