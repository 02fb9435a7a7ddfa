-- data.csv: a table of comma-separated values.
local console = require 'console'
local fail = require 'fail'
local file_data = require 'sources.file_data'
local native = require 'lanthorn'
local nearest = require 'nearest'
local options = require 'options'
local pretty = require 'pretty'
local torch = require 'torch'

local data = {}

-- Distinct whole numbers of a tensor in order, as classes, and their numbers.
local function classes_of_numbers(y)
  local values, distinct = {}, {}
  for _, value in ipairs(y:tolist()) do
    if not distinct[value] then
      distinct[value] = true
      values[#values + 1] = value
    end
  end
  table.sort(values)
  local numbers = {}
  for i, value in ipairs(values) do numbers[value] = i - 1 end
  local ids = {}
  for i, value in ipairs(y:tolist()) do ids[i] = numbers[value] end
  return values, torch.tensor(ids, { dtype = 'int64' })
end

local MANY_TEXTS = 50 -- different ones, in a column that is to be an input

local SPEC = file_data.spec({ file = 'string', target = 'string', features = 'list?', ignore = { 'list', {} },
  text = { 'list', {} }, delimiter = { 'string', ',' }, header = { 'boolean', true },
  missing = { 'string', 'error', one_of = { 'error', 'drop', 'mean' } },
  missing_values = { 'list', { 'NA', 'NaN', 'nan', 'null' } },
  task = { 'string', 'auto', one_of = { 'auto', 'regression', 'classification' } } }, true)

local function names_of(columns)
  local names = {}
  for i, column in ipairs(columns) do names[i] = column.name end
  return names
end

local function find_column(columns, name, what, o)
  for _, column in ipairs(columns) do
    if column.name == name then return column end
  end
  local hint = #columns == 1 and columns[1].name:find '[;\t|]'
    and (" (the whole header is one column; is it delimiter='%s'?)")
    :format(columns[1].name:match '[;\t|]':gsub('\t', '\\t')) or nearest.hint(name, names_of(columns))
  fail.config("data.csv: %s '%s' is not a column of '%s'%s", what, name, o.file, hint)
end

local function feature_columns(columns, o)
  local chosen = {}
  if o.features then
    for i, name in ipairs(o.features) do chosen[i] = find_column(columns, name, 'feature', o) end
  else
    local left = { [o.target] = true }
    for _, name in ipairs(o.ignore) do left[find_column(columns, name, 'ignore', o).name] = true end
    for _, column in ipairs(columns) do
      if not left[column.name] then chosen[#chosen + 1] = column end
    end
  end
  if #chosen == 0 then fail.config("data.csv: no column of '%s' is left as an input", o.file) end
  return chosen
end

-- Rows that may be used: all, or those without a missing value.
local function usable_rows(used, o)
  local kept
  for _, column in ipairs(used) do
    if column.missing > 0 then
      local fills = o.missing == 'mean' and not column.classes and column.name ~= o.target
      if o.missing == 'error' or o.missing == 'mean' and not fills then
        fail.data("'%s', line %d: column '%s' is empty, as in %d rows of the table; missing='drop' leaves such rows "
          .. "out%s", o.file, column.first_missing, column.name, column.missing,
          o.missing == 'error' and ", missing='mean' puts the mean of train there" or '')
      end
      if o.missing == 'drop' then
        local here = column.classes and column.values:ge(0) or column.values:isnan():logical_not()
        kept = kept and kept:logical_and(here) or here
      end
    end
  end
  if not kept then return nil, 0 end
  local rows = kept:nonzero():view(-1)
  if rows.shape[1] == 0 then fail.data("'%s': every row has a missing value", o.file) end
  return rows, kept.shape[1] - rows.shape[1]
end

local function target_of(column, o)
  local classification = o.task == 'classification' or o.task == 'auto' and column.classes ~= nil
  if column.classes and not classification then
    fail.config("data.csv: task='regression', but the target '%s' is text, such as '%s'", column.name,
      column.classes[1])
  end
  if not classification then return column.values:to('float32'):view { -1, 1 } end
  if column.classes then return column.values, column.classes end
  local classes, ids = classes_of_numbers(column.values)
  return ids, classes
end

---A table of comma-separated values. `target` is the column to predict: text becomes classes, numbers stay numbers
---unless task is 'classification'. Inputs are the other columns but those of `ignore`, or those of `features`; text
---among them becomes one column for each of its values. `split` {train=0.8, val=0.1, test=0.1} is drawn by the seed;
---inputs are standardised by the train split alone. A missing value is an error, or missing = 'drop' leaves its row
---out, 'mean' puts the mean of train there.
---@param given { file: string, target: string, features: string[]?, ignore: string[]?, text: string[]?,
---delimiter: string?, header: boolean?, missing: string?, missing_values: string[]?, task: string?, split: table?,
---standardise: boolean?, batch: integer?, shuffle: boolean?, drop_last: boolean?, seed: integer? }
---@return table data with train, val, test, splits (their tensors), columns, classes, class_counts, mean, std
function data.csv(given, config)
  local o = options.check('data.csv', given, SPEC)
  local record = file_data.record(o.file)
  local csv = native.data.read_csv(o.file, { delimiter = o.delimiter, header = o.header, text = o.text,
    missing_values = o.missing_values })
  local target = find_column(csv.columns, o.target, 'target', o)
  local features = feature_columns(csv.columns, o)
  local rows, dropped = usable_rows({ target, unpack(features) }, o)
  if rows then
    for _, column in ipairs { target, unpack(features) } do column.values = column.values:index_select(0, rows) end
    console.note(('data      %s of %s left out: a value is missing'):format(pretty.plural(dropped, 'row'), o.file))
  end
  local inputs, names = {}, {}
  for _, column in ipairs(features) do
    if column.classes then
      if #column.classes > MANY_TEXTS and 2 * #column.classes > column.values.shape[1] then
        fail.config("data.csv: column '%s' has %d different texts in %d rows, which looks like names; leave it out: "
          .. "ignore={'%s'}", column.name, #column.classes, column.values.shape[1], column.name)
      end
      inputs[#inputs + 1] = torch.one_hot(column.values, #column.classes):to 'float64'
      for _, class in ipairs(column.classes) do names[#names + 1] = column.name .. '=' .. class end
    else
      inputs[#inputs + 1] = column.values:view { -1, 1 }
      names[#names + 1] = column.name
    end
  end
  local y, classes = target_of(target, o)
  local all = { x = torch.cat(inputs, 1), y = y }
  if o.missing == 'mean' then file_data.fill(all, o, config.seed) end
  all.x = all.x:to 'float32'
  return file_data.build('csv', { all = all }, o, { seed = config.seed, classes = classes, columns = names,
    files = { record } })
end

return data.csv
