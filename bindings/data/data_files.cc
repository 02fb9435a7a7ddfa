// Tables, arrays and pictures of files as tensors.
#include <ATen/ops/empty.h>

#include "bindings/data/data.h"
#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/tensor/tensor.h"
#include "engine/data/epoch_order.h"
#include "engine/data/formats/csv.h"
#include "engine/data/formats/idx.h"
#include "engine/data/formats/image.h"
#include "engine/data/formats/npy.h"
#include "engine/data/formats/yaml.h"

namespace lanthorn::lua {

LANTHORN_LUA_RECORD(data::CsvColumn);
LANTHORN_LUA_RECORD(data::Csv);
LANTHORN_LUA_RECORD(data::YamlSetting);

void ValueOf<data::CsvColumn>::Push(lua_State* L, const data::CsvColumn& column) {
  NewTable(L)
      .Set("name", column.name)
      .Set("values", column.values)
      .SetIf(column.is_text, "classes", column.classes)
      .Set("missing", column.missing)
      .SetIf(column.missing > 0, "first_missing", column.first_missing);
}
void ValueOf<data::Csv>::Push(lua_State* L, const data::Csv& csv) {
  NewTable(L).Set("rows", csv.rows).Set("columns", csv.columns);
}

void ValueOf<data::YamlSetting>::Push(lua_State* L, const data::YamlSetting& setting) {
  NewTable(L).Set("path", setting.path).Set("line", setting.line).Set("value", setting.value);
}

namespace {

struct ReadCsvOptions {
  std::string delimiter = ",";
  data::CsvOptions csv;
};
template <typename Visit>
void Fields(Visit&& visit, ReadCsvOptions& options) {
  visit({"delimiter", "between two columns, one character"}, options.delimiter);
  visit({"header", "the first line names the columns"}, options.csv.header);
  visit({"text", "columns that are text whatever is in them"}, options.csv.text);
  visit({"missing_values", "what stands for a missing value, beside nothing at all"}, options.csv.missing_values);
}

data::Csv ReadCsv(const std::string& path, const ReadCsvOptions& given) {
  data::CsvOptions options = given.csv;
  const std::string& delimiter = given.delimiter;
  if (delimiter.size() != 1 || delimiter == "\"" || delimiter == "\n")
    throw UsageError("read_csv: delimiter must be one character, got '" + delimiter + "'");
  options.delimiter = delimiter[0];
  return Value(data::ReadCsv(path, options));
}

at::Tensor Order(int64_t rows, int64_t seed) {
  if (rows < 0) throw UsageError("data.order: rows must not be negative");
  const auto order = data::EpochOrder(rows, static_cast<uint64_t>(seed), 0);
  at::Tensor numbers = at::empty({rows}, at::TensorOptions(c10::kLong));
  std::copy(order.begin(), order.end(), numbers.data_ptr<int64_t>());
  return numbers;
}

const std::vector<FunctionRow> kRows = {
    {"read_csv", "path",
     "A table by columns: {rows=, columns={{name=, values=Tensor, classes=?, missing=, first_missing=?}}}. Columns of "
     "numbers are float64 with NaN where nothing stands or one of `missing_values`; columns of text are int64 numbers "
     "of `classes`, from 0, -1 where missing. A number column with something else in it is an error unless `text` "
     "names it.",
     Typed<&ReadCsv>},
    {"read_npy", "path", "The array of a .npy file of NumPy.", Typed<&data::ReadNpy>},
    {"read_npz", "path", "The arrays of a .npz archive of NumPy by name.", Typed<&data::ReadNpz>},
    {"read_idx", "path", "The array of an IDX file (MNIST's format), plain or .gz.", Typed<&data::ReadIdx>},
    {"read_image", "path, channels=0",
     "A picture (PNG, JPEG, BMP, GIF, TGA, PNM) as uint8 (channels, height, width); channels 1 is grey, 3 RGB, 0 what "
     "the file has.",
     Typed<&data::ReadImage>},
    {"read_yaml", "path",
     "The settings of a YAML file in its order: {{path='optimizer.lr', line=, value=}}. `value` is a boolean, a "
     "number, a "
     "string, a list, or nil.",
     Typed<&data::ReadYaml>},
    {"order", "rows, seed", "The numbers 0 to rows - 1 in an order that depends on the seed alone.", Typed<&Order>},
};

}  // namespace

void RegisterDataFiles(lua_State* L) { RegisterRows(L, "data", kRows); }

}  // namespace lanthorn::lua
