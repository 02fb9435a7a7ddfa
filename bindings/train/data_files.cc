// Tables, arrays and pictures of files as tensors.
#include "bindings/lua/function.h"
#include "bindings/ops/function_call.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/data.h"
#include "engine/data/epoch_order.h"
#include "engine/data/formats/csv.h"
#include "engine/data/formats/idx.h"
#include "engine/data/formats/image.h"
#include "engine/data/formats/npy.h"

namespace lanthorn::lua {
namespace {

void ListOf(lua_State* L, int table, const char* field, std::vector<std::string>* into) {
  lua_getfield(L, table, field);
  for (int i = 1; lua_istable(L, -1) && i <= static_cast<int>(lua_objlen(L, -1)); ++i) {
    lua_rawgeti(L, -1, i);
    if (const char* text = lua_tostring(L, -1)) into->push_back(text);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void PushColumn(lua_State* L, const data::CsvColumn& column) {
  lua_createtable(L, 0, 6);
  lua_pushstring(L, column.name.c_str());
  lua_setfield(L, -2, "name");
  PushTensor(L, column.values);
  lua_setfield(L, -2, "values");
  if (column.is_text) {
    PushNames(L, column.classes);
    lua_setfield(L, -2, "classes");
  }
  lua_pushnumber(L, static_cast<double>(column.missing));
  lua_setfield(L, -2, "missing");
  if (column.missing > 0) {
    lua_pushnumber(L, static_cast<double>(column.first_missing));
    lua_setfield(L, -2, "first_missing");
  }
}

int ReadCsv(lua_State* L) {
  const std::string path = luaL_checkstring(L, 1);
  data::CsvOptions options;
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "delimiter");
    if (const char* text = lua_tostring(L, -1)) {
      if (std::string(text).size() != 1 || *text == '"' || *text == '\n')
        throw UsageError(std::string("read_csv: delimiter must be one character, got '") + text + "'");
      options.delimiter = *text;
    }
    lua_getfield(L, 2, "header");
    if (!lua_isnil(L, -1)) options.header = lua_toboolean(L, -1) != 0;
    lua_pop(L, 2);
    ListOf(L, 2, "text", &options.text);
    ListOf(L, 2, "missing_values", &options.missing_values);
  }
  const data::Csv csv = Value(data::ReadCsv(path, options));
  lua_createtable(L, 0, 2);
  lua_pushnumber(L, static_cast<double>(csv.rows));
  lua_setfield(L, -2, "rows");
  lua_createtable(L, static_cast<int>(csv.columns.size()), 0);
  for (size_t i = 0; i < csv.columns.size(); ++i) {
    PushColumn(L, csv.columns[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  lua_setfield(L, -2, "columns");
  return 1;
}

int ReadNpy(lua_State* L) {
  PushTensor(L, Value(data::ReadNpy(luaL_checkstring(L, 1))));
  return 1;
}

int ReadNpz(lua_State* L) {
  const auto arrays = Value(data::ReadNpz(luaL_checkstring(L, 1)));
  lua_createtable(L, 0, static_cast<int>(arrays.size()));
  for (const auto& [name, array] : arrays) {
    PushTensor(L, array);
    lua_setfield(L, -2, name.c_str());
  }
  return 1;
}

int ReadIdx(lua_State* L) {
  PushTensor(L, Value(data::ReadIdx(luaL_checkstring(L, 1))));
  return 1;
}

int ReadImage(lua_State* L) {
  PushTensor(L, Value(data::ReadImage(luaL_checkstring(L, 1), luaL_optinteger(L, 2, 0))));
  return 1;
}

int Order(lua_State* L) {
  const int64_t rows = CheckWhole(L, 1, "data.order: rows"), seed = CheckWhole(L, 2, "data.order: seed");
  if (rows < 0) throw UsageError("data.order: rows must not be negative");
  const auto order = data::EpochOrder(rows, static_cast<uint64_t>(seed), 0);
  at::Tensor numbers = at::empty({rows}, at::TensorOptions(c10::kLong));
  std::copy(order.begin(), order.end(), numbers.data_ptr<int64_t>());
  PushTensor(L, std::move(numbers));
  return 1;
}

const std::vector<FunctionRow> kRows = {
    {"read_csv", "(str path, *, str delimiter=',', bool header=True, str[] text={}, str[] missing_values={}) -> table",
     "A table by columns: {rows=, columns={{name=, values=Tensor, classes=?, missing=, first_missing=?}}}. Columns of "
     "numbers "
     "are float64 with NaN where nothing stands or one of `missing_values`; columns of text are int64 numbers of "
     "`classes`, from 0, "
     "-1 where missing. A number column with something else in it is an error unless `text` names it.",
     &Thunk<&ReadCsv>},
    {"read_npy", "(str path) -> Tensor", "The array of a .npy file of NumPy.", &Thunk<&ReadNpy>},
    {"read_npz", "(str path) -> table", "The arrays of a .npz archive of NumPy by name.", &Thunk<&ReadNpz>},
    {"read_idx", "(str path) -> Tensor", "The array of an IDX file (MNIST's format), plain or .gz.", &Thunk<&ReadIdx>},
    {"read_image", "(str path, int channels=0) -> Tensor",
     "A picture (PNG, JPEG, BMP, GIF, TGA, PNM) as uint8 (channels, height, width); channels 1 is grey, 3 RGB, 0 what "
     "the "
     "file has.",
     &Thunk<&ReadImage>},
    {"order", "(int rows, int seed) -> Tensor", "The numbers 0 to rows - 1 in an order that depends on the seed alone.",
     &Thunk<&Order>},
};

}  // namespace

void RegisterDataFiles(lua_State* L) { RegisterRows(L, "data", kRows); }

}  // namespace lanthorn::lua
