-- From a command line, or a sweep script and a command line, to the plan of a sweep.
local axes = require 'sweep.planning.axes'
local cell_config = require 'sweep.planning.cell_config'
local draw = require 'sweep.planning.draw'
local expand = require 'sweep.planning.expand'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local pruning = require 'sweep.pruning'
local pretty = require 'pretty'
local sources = require 'boot.sources'
local sweep = require 'sweep'
local target = require 'sweep.planning.target'

local spec = {}

local HASH_DIGITS = 8

local function paths_of(word)
  local parsed, paths = axes.parse { word }, {}
  if parsed.seeds then paths[1] = 'train.seed' end
  for _, axis in ipairs(parsed.axes) do
    for _, one in ipairs(axis.zip or { axis }) do paths[#paths + 1] = one.path end
  end
  for _, text in ipairs(parsed.overrides) do paths[#paths + 1] = text:match '^%+*([^=]*)=' end
  return paths
end

-- The words of a sweep script without those that the command line has something else for.
local function merge(own, given)
  local replaced, words = {}, {}
  for _, word in ipairs(given) do
    -- A first seed goes along with a number of seeds.
    for _, path in ipairs(paths_of(word)) do replaced[path] = word:find '^train%.seed=' == nil end
  end
  for _, word in ipairs(own) do
    local keep = true
    for _, path in ipairs(paths_of(word)) do keep = keep and not replaced[path] end
    if keep then words[#words + 1] = word end
  end
  for _, word in ipairs(given) do words[#words + 1] = word end
  return words
end

-- Lua text such as `optim.lr < 0.1`, over the config of a cell.
local function where_of(text)
  local chunk, message = sources.compile('return ' .. text, '=where', '--where')
  if not chunk then fail.usage('--where: %s', message) end
  return function(values)
    return setfenv(chunk, setmetatable({}, { __index = function(_, name)
      if values[name] ~= nil then return values[name] end
      return _G[name]
    end }))()
  end
end

local function check_sampler(name)
  for _, known in ipairs(draw.samplers) do
    if known == name then return name end
  end
  fail.usage("sampler '%s' is not known%s", name, nearest.hint(name, draw.samplers))
end

local function check_trials(drawn, trials)
  if #drawn > 0 and not trials then
    fail.usage("'%s' is drawn anew for each trial; say how many with --trials N", drawn[1].text)
  end
  if trials and #drawn == 0 then
    fail.usage('--trials needs something to draw, such as optim.lr=loguniform(1e-4,1e-1)')
  end
end

-- Two axes, or an axis and an override, of which one holds the other would overwrite each other.
local function check_nesting(paths)
  table.sort(paths)
  for i = 2, #paths do
    for j = 1, i - 1 do
      if paths[i]:sub(1, #paths[j] + 1) == paths[j] .. '.' then
        fail.config("'%s' is part of '%s'; vary one of them", paths[i], paths[j])
      end
    end
  end
end

local function seed_of(tree)
  local train = tree.values.train
  return type(train) == 'table' and type(train.seed) == 'number' and train.seed or nil
end

local function holds(where, values)
  local ok, result = pcall(where, values)
  if not ok then fail.config('where: %s', tostring(result)) end
  return result
end

-- A function that gives the id of a cell and whether `where` accepts it.
local function identifier(tree, where)
  local configs = cell_config.new(tree)
  return function(settings)
    local values, id = configs:apply(settings)
    return id, not where or not not holds(where, values)
  end
end

-- The cells of all combinations, without those that `where` drops and those that came before.
local function make_cells(settings, identify)
  local cells, known, dropped, same = {}, {}, 0, 0
  for _, set in ipairs(settings) do
    local id, accepted = identify(set)
    if not accepted then
      dropped = dropped + 1
    elseif known[id] then
      same = same + 1
    else
      known[id] = true
      cells[#cells + 1] = { i = #cells + 1, id = id, set = set }
    end
  end
  if #cells == 0 then
    fail.config('no cell is left: `where` rejects all %s combinations', pretty.count(#settings))
  end
  return cells, dropped, same
end

-- A path without folders that are entered and left again: "a/b/../c" as "a/c".
local function without_detours(path)
  local shorter, found = path:gsub('([^/]+)/%.%./', function(folder) return folder ~= '..' and '' or nil end, 1)
  return found > 0 and shorter ~= path and without_detours(shorter) or path
end

local function read_target(args, words, flags, argv)
  local read = target.read(args.script, 'script', {}, flags, argv, args.rest)
  local about, texts = sweep.is(read.returned) and read.returned or nil, read.texts
  local experiment = args.script
  if about then
    words = merge(about.words, words)
    experiment = about.script:sub(1, 1) == '/' and about.script
      or without_detours((args.script:match '^(.*/)' or '') .. about.script)
  end
  return about or {}, words, experiment, texts
end

-- A hash of all that decides what a sweep computes. Of the script it has the name alone: where it lies is another
-- matter on another machine, and what is in it is told by source_hash.
local function fingerprint_of(head, cells)
  local parts = { (head.script:match '[^/]*$') }
  for _, list in ipairs { head.overrides, head.options, head.rest } do
    parts[#parts + 1] = table.concat(list, '\0')
  end
  parts[#parts + 1] = head.pruner or ''
  if head.sampler == 'tpe' then -- its cells come later
    parts[#parts + 1] = ('tpe %d %d %d %s'):format(head.trials, head.sampler_seed, head.seeds or 0,
      table.concat(head.axes, ' '))
  end
  for _, cell in ipairs(cells) do parts[#parts + 1] = cell.id end
  return host.sha256(table.concat(parts, '\n'))
end

-- The name of a sweep that was given none, so that the same command finds it again.
local function name_of(head)
  local own = head.sweep_script and head.sweep_script:match '([^/]*)$':gsub('%.lua$', '') .. '-' or ''
  return own .. head.fingerprint:sub(1, HASH_DIGITS)
end

---Plans a sweep.
---@param args table of the command: script, words, rest, cell_options, trials, sampler, sampler_seed, where, metric,
---maximize, pruner, name
---@param flags table of run_options.flags
---@param argv string[]
---@return { head: table, cells: table[], texts: table<string, string>, dropped: integer, same: integer, search: table?,
---name: string } made
function spec.make(args, flags, argv)
  local about, words, script, texts = read_target(args, args.words, flags, argv)
  local parsed = axes.parse(words)
  local read = target.read(script, 'the script of the sweep', parsed.overrides, flags, argv, args.rest)
  if sweep.is(read.returned) then fail.config("'%s' is a sweep script itself; a sweep varies an experiment", script) end
  if not read.tree then
    fail.config("'%s' never called experiment.config, so there is nothing to vary", script)
  end
  for name, text in pairs(read.texts) do texts[name] = text end
  if args.fast_dev_run and parsed.seeds then parsed.seeds = 1 end -- it is about whether everything runs
  local made = { axes = parsed.axes, seeds = parsed.seeds, trials = args.trials or about.trials,
    sampler = check_sampler(args.sampler or about.sampler or 'random'),
    sampler_seed = args.sampler_seed or about.sampler_seed or 0, first_seed = seed_of(read.tree) }
  if made.seeds and not made.first_seed then
    fail.config("seeds=%d: the config of '%s' has no train.seed", made.seeds, script)
  end
  local drawn, grid = expand.split(made.axes)
  check_trials(drawn, made.trials)
  if made.sampler == 'tpe' and #grid > 0 then
    fail.usage("the sampler tpe draws all that varies; write choice(...) in place of '%s'", grid[1].text)
  end
  local paths = {}
  for _, word in ipairs(words) do
    for _, path in ipairs(paths_of(word)) do paths[#paths + 1] = path end
  end
  check_nesting(paths)
  local identify = identifier(read.tree, args.where and where_of(args.where) or about.where)
  local cells, dropped, same = {}, 0, 0
  if made.sampler == 'tpe' then
    -- A key that there is not is told now, not by the first trial.
    for _, axis in ipairs(drawn) do identify(expand.settings({ axis }, { draw.value(axis, 0) })) end
  else
    cells, dropped, same = make_cells(expand.cells(made), identify)
  end
  local pruner = args.pruner or about.pruner
  if pruner then pruning.parse(pruner) end -- what is wrong with it is told now
  local words_of_axes = {}
  for i, axis in ipairs(made.axes) do words_of_axes[i] = axis.text end
  local head = { script = script, sweep_script = script ~= args.script and args.script or nil, axes = words_of_axes,
    overrides = parsed.overrides, seeds = made.seeds, trials = #drawn > 0 and made.trials or nil,
    sampler = #drawn > 0 and made.sampler or nil, sampler_seed = #drawn > 0 and made.sampler_seed or nil,
    where = args.where, options = args.cell_options, rest = args.rest, cells = #cells,
    source_hash = read.source_hash, experiment = read.name,
    metric = args.metric or about.metric, maximize = args.maximize or about.maximize or false,
    pruner = pruner, words = args.words, cwd = host.cwd(), fast_dev_run = args.fast_dev_run }
  head.fingerprint = fingerprint_of(head, cells)
  local search = made.sampler == 'tpe' and { head = head, drawn = drawn, seeds = made.seeds,
    first_seed = made.first_seed, identify = identify } or nil
  return { head = head, cells = cells, texts = texts, dropped = dropped, same = same, search = search,
    name = args.name or about.name or name_of(head) }
end

return spec
