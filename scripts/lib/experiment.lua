-- The config of an experiment: the script's defaults with the command line's overrides applied.
--
--   local cfg = experiment.config { optim = { lr = 2e-3 }, train = { steps = 2000 } }
--
-- The result is plain nested tables. A default that is a whole number takes whole numbers only; experiment.number(1)
-- takes fractions too.
local sources = require 'boot.sources'
local config_defaults = require 'config.defaults'
local config_reads = require 'config.reads'
local config_schema = require 'config.schema'
local config_tree = require 'config.tree'
local console = require 'console'
local fail = require 'fail'
local overrides = require 'config.overrides'
local pretty = require 'pretty'
local specs = require 'config.specs'

local experiment = {}

-- Raised to leave the script at the end of a dry run.
local DRY_RUN_DONE = setmetatable({}, { __tostring = function() return 'dry run done' end })

-- Functions that want the seed of the config as soon as it is known.
local seeders = {}

local current = { name = nil, script = nil, argv = {}, overrides = {}, cell = {}, flags = {} }
local tree

---Tells the module what the command line said; called before the script starts.
---@param setup { script: string?, name: string?, argv: string[], overrides: string[], cell: string[]?, flags: table? }
function experiment.setup(setup)
  tree = nil
  current = { script = setup.script, argv = setup.argv or {}, overrides = setup.overrides or {},
    cell = setup.cell or {}, flags = setup.flags or {}, name = setup.name }
  if setup.script and not setup.name then current.name = setup.script:match('([^/]*)$'):gsub('%.lua$', '') end
  for _, text in ipairs(current.overrides) do overrides.parse(text) end -- bad grammar fails before the script runs
end

---A default that takes whole numbers only.
---@param default integer
function experiment.int(default)
  return config_schema.mark('int', default, false)
end

---A default that takes any finite number, even when it is whole itself.
---@param default number
function experiment.number(default)
  return config_schema.mark('number', default, false)
end

---A key that may be nil.
---@param type_name "int"|"number"|"string"|"boolean"|"list"|"table"|"any"
---@param default? any
function experiment.optional(type_name, default)
  return config_schema.mark(type_name, default, true)
end

---Whether a name can be the folder of an experiment.
---@param name string
---@return boolean
function experiment.valid_name(name)
  return #name <= 64 and name:match('^[a-z0-9][a-z0-9_-]*$') ~= nil and name ~= 'latest' and name:sub(1, 6) ~= 'sweep-'
end

local function check_name()
  if current.name and not experiment.valid_name(current.name) then
    fail.config("experiment name '%s' (from the script's file name) must match [a-z0-9][a-z0-9_-]*, at most 64 "
      .. "characters, not 'latest' and not 'sweep-...'; rename the file", current.name)
  end
end

---Calls f(seed) now if the config has a train.seed, and again whenever a config with one is made.
---@param f fun(seed: integer)
function experiment.when_seeded(f)
  seeders[#seeders + 1] = f
  local seed = tree and tree.values.train and tree.values.train.seed
  if seed then f(seed) end
end

local function seed_all(values)
  local seed = type(values.train) == 'table' and values.train.seed
  if type(seed) ~= 'number' then return end
  if seed < 0 or seed % 1 ~= 0 then
    fail.config("train.seed must be a whole number from 0, got %s", pretty.number(seed))
  end
  for _, f in ipairs(seeders) do f(seed) end
end

-- The cell of a sweep first, then the command line, which wins.
local function apply_all()
  for _, text in ipairs(current.cell) do tree:apply(overrides.parse(text), 'cell') end
  for _, text in ipairs(current.overrides) do tree:apply(overrides.parse(text), 'cli') end
  for _, short in ipairs(current.flags.short or {}) do
    if tree.origin[short.path] == nil then
      fail.config("%s sets '%s', which the config of this script does not have", short.option, short.path)
    end
    tree:apply(overrides.parse(short.path .. '=' .. short.value), 'cli')
  end
end

---Declares the config. Every leaf can be overridden on the command line; an unknown key is an error.
---@param defaults table
---@return table config plain nested tables
function experiment.config(defaults)
  check_name()
  if tree then fail.config('experiment.config was called twice; a script has one config') end
  if type(defaults) ~= 'table' then fail.config('a config is a table of defaults, got %s', type(defaults)) end
  local full, filled = config_defaults.with_options(defaults)
  local made = config_tree.new(full, 'script')
  for _, path in ipairs(filled) do made.origin[path] = 'default' end
  tree = made
  local ok, err = pcall(apply_all)
  if not ok then error(fail.without_position(err), 0) end
  if current.flags.when_configured then current.flags.when_configured(made) end
  seed_all(made.values)
  return made.values
end

---What is known about this run. `values` is the effective config (empty when config was never called), `sources` the
---Lua files loaded from outside the binary.
---@return table { name, script, argv, overrides, cell, flags, values, origin, configured, sources }
function experiment.current()
  check_name()
  return { name = current.name or 'prompt', script = current.script, argv = current.argv, overrides = current.overrides,
    cell = current.cell, flags = current.flags, configured = tree ~= nil, values = tree and tree.values or {},
    origin = tree and tree.origin or {}, sources = sources.files }
end

---Whether the command line or the cell of a sweep sets a value.
---@param path string such as 'optim.lr'
---@return boolean
function experiment.is_set(path)
  local origin = tree and tree.origin[path]
  return origin == 'cli' or origin == 'cell'
end

---Raises (exit 3) if the command line sets a key that the experiment itself varies.
---@param paths string[] such as 'optim.lr'
---@param why string what to do in place of it, such as 'set sweep.lr'
function experiment.varies(paths, why)
  for _, path in ipairs(paths) do
    if experiment.is_set(path) then fail.config('%s has no effect here; %s', path, why) end
  end
end

---Records a value that the library filled in because the script left it out (origin "default").
---@param path string
---@param value any
function experiment.record_default(path, value)
  if not tree then return end
  local keys = overrides.split_path(path)
  local holder = tree.values
  for i = 1, #keys - 1 do
    if type(holder[keys[i]]) ~= 'table' then return end
    holder = holder[keys[i]]
  end
  if holder[keys[#keys]] ~= nil then return end
  holder[keys[#keys]] = value
  tree.origin[path] = 'default'
end

---Config keys that the program never reads, and overrides given to a script without a config (guard G20).
---@return { path: string, hint: string }[]
function experiment.unread_keys()
  local unread = {}
  if not tree then
    for _, text in ipairs(current.overrides) do unread[#unread + 1] = { path = text, hint = '' } end
    for _, short in ipairs(current.flags.short or {}) do unread[#unread + 1] = { path = short.option, hint = '' } end
    return unread
  end
  local found, names = config_reads.scan(sources.files), {}
  for _, leaf in ipairs(tree:leaves()) do
    if config_reads.is_read(found, leaf.path) then names[#names + 1] = leaf.path end
  end
  local claimed = {}
  for _, section in ipairs(specs.training) do claimed[section] = true end -- train.fit reads these itself
  for _, leaf in ipairs(tree:leaves()) do
    local by_library = claimed[leaf.path:match('^[^.]*')] or leaf.path == 'model.causal' -- guard G45
    if tree.origin[leaf.path] ~= 'default' and not by_library and not config_reads.is_read(found, leaf.path) then
      unread[#unread + 1] = { path = leaf.path, hint = require('nearest').hint(leaf.path, names) }
    end
  end
  return unread
end

---Raises (exit 3) when a key is never read; the trainer calls it before the first update.
function experiment.check_reads()
  local unread = experiment.unread_keys()
  if #unread == 0 then return end
  local first = unread[1]
  if not tree then fail.config("'%s' was not used: the script never called experiment.config", first.path) end
  local more = #unread > 1 and (' (and %d more)'):format(#unread - 1) or ''
  fail.config("G20 config_keys: key '%s' was never read%s%s; remove it with '~%s'", first.path, more, first.hint,
    first.path)
end

---Prints the effective config, one `path = value` line per leaf with its origin.
function experiment.print_config()
  local rows, width = {}, 0
  for _, leaf in ipairs(tree and tree:leaves() or {}) do
    rows[#rows + 1] = { leaf.path .. ' = ' .. pretty.inline(leaf.value), tree.origin[leaf.path] or 'default' }
    width = math.max(width, #rows[#rows][1])
  end
  for _, row in ipairs(rows) do console.write(('%-' .. math.min(width, 90) .. 's  (%s)\n'):format(row[1], row[2])) end
  if #rows == 0 then console.write('the script has no config\n') end
end

---Under --dry-run: prints the config and the given lines, and leaves the script. Else does nothing.
---@param lines? string[] such as sizes of model and data
function experiment.stop_if_dry_run(lines)
  if not current.flags.dry_run then return end
  experiment.print_config()
  for _, line in ipairs(lines or {}) do console.write(line .. '\n') end
  current.flags.dry_run_shown = true
  error(DRY_RUN_DONE, 0)
end

---Leaves the script: what was asked for in place of training is done.
function experiment.leave()
  error(DRY_RUN_DONE, 0)
end

---Whether a caught value is the end of a dry run.
---@param err any
---@return boolean
function experiment.is_dry_run_end(err)
  return err == DRY_RUN_DONE
end

return experiment
