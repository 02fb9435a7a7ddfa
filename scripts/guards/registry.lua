-- The guards of the runner: what it never lets happen, each with its id, what it does when it fires, and how it is
-- accepted. What holds by construction never fires: engine/train/guards/README.md has those ids too.
--   registry.rows     all of them, by id
--   registry.spec()   the section `guards` of a config: guards.<name>=error|warn|off where a guard has such a key
-- A guard that fires says "G05 init_loss: what was found, what was expected, a likely cause; to accept: ...".
local fail = require 'fail'
local nearest = require 'nearest'

local registry = {}

local LEVELS = { 'error', 'warn', 'off' }

-- `level`: what it does unless told otherwise. `code`: the exit code when it stops a run. `key`: it has
-- guards.<name>; `accept`: another way to accept what it finds. `check`: the file that checks; absent for a guard
-- that is not built yet.
registry.rows = {
  { id = 'G01', name = 'device', level = 'error', code = 9, check = 'engine/train/guards/alive_check.cc' },
  { id = 'G02', name = 'device_speed', level = 'error', code = 9, key = true, check = 'scripts/fit/checks.lua' },
  { id = 'G04', name = 'memory_floor', level = 'error', code = 9, key = true,
    check = 'engine/train/guards/memory_growth.cc' },
  { id = 'G05', name = 'init_loss', level = 'error', code = 6, key = true, accept = 'train.expect_loss=x',
    check = 'engine/train/measure.cc' },
  { id = 'G06', name = 'learnable', level = 'warn', code = 0, accept = 'data.learnable=true',
    check = 'scripts/fit/checks.lua' },
  { id = 'G08', name = 'seed', level = 'error', code = 8, check = 'scripts/guards/seeds.lua' },
  { id = 'G09', name = 'partial', level = 'error', code = 7, check = 'engine/train/time_limit.cc' },
  { id = 'G11', name = 'stall', level = 'error', code = 7, accept = 'watchdog.off=true',
    check = 'scripts/watchdog/stall.lua' },
  { id = 'G13', name = 'budget', level = 'error', code = 7, accept = 'data.allow_overlap=true',
    check = 'engine/train/time_limit.cc' },
  { id = 'G16', name = 'slow_step', level = 'warn', code = 7, key = true, check = 'engine/train/guards/slow_steps.cc' },
  { id = 'G18', name = 'noop_phase', level = 'error', code = 6, accept = "may_idle=true in the callback's table",
    check = 'scripts/guards/callback_updates.lua' },
  { id = 'G20', name = 'config_keys', level = 'error', code = 3, accept = '~key',
    check = 'scripts/lib/experiment.lua' },
  { id = 'G21', name = 'batch_shape', level = 'error', code = 4, check = 'engine/data/batch_shape.cc' },
  { id = 'G22', name = 'empty', level = 'error', code = 4, accept = 'eval.off=true', check = 'engine/data/text.cc' },
  { id = 'G23', name = 'nonfinite', level = 'error', code = 6, accept = 'guards.nonfinite=skip:N',
    check = 'engine/train/guards/divergence.cc' },
  { id = 'G24', name = 'validation', level = 'error', code = 4, accept = 'data.allow_leak=true',
    check = 'engine/data/text/leak.cc' },
  { id = 'G25', name = 'strict_load', level = 'error', code = 5, check = 'engine/train/state/trainer_state.cc' },
  { id = 'G26', name = 'resume', level = 'error', code = 5, check = 'scripts/commands/verify_resume.lua' },
  { id = 'G27', name = 'provenance', level = 'error', code = 1, check = 'scripts/compare/provenance.lua' },
  { id = 'G28', name = 'schema', level = 'error', code = 4, check = 'scripts/runs/columns.lua' },
  { id = 'G29', name = 'units', level = 'error', code = 3, check = 'scripts/runs/columns.lua' },
  { id = 'G30', name = 'dead_parameter', level = 'error', code = 6, accept = 'train.allow_dead=[...]',
    check = 'engine/train/guards/alive_check.cc' },
  { id = 'G31', name = 'memory_growth', level = 'error', code = 7, key = true,
    check = 'engine/train/guards/memory_growth.cc' },
  { id = 'G32', name = 'stale', level = 'error', code = 4, check = 'scripts/runs/select.lua' },
  { id = 'G33', name = 'one_metric', level = 'error', code = 3, check = 'scripts/fit/callback_context.lua' },
  { id = 'G34', name = 'reachable', level = 'error', code = 3, key = true,
    check = 'scripts/guards/callback_threshold.lua' },
  { id = 'G35', name = 'identical_arms', level = 'warn', code = 1, check = 'scripts/compare/results.lua' },
  { id = 'G36', name = 'skipped_updates', level = 'error', code = 6, key = true,
    check = 'engine/train/guards/skipped_updates.cc' },
  { id = 'G37', name = 'no_learning', level = 'error', code = 6, key = true,
    check = 'engine/train/guards/learning_check.cc' },
  { id = 'G38', name = 'overhead', level = 'warn', code = 7, key = true,
    accept = "budget_pct=N in the callback's table", check = 'scripts/guards/callback_cost.lua' },
  { id = 'G40', name = 'plasticity', level = 'error', code = 1, check = 'scripts/research/plasticity.lua' },
  { id = 'G43', name = 'protected', level = 'error', code = 6, key = true,
    check = 'engine/train/guards/protected_check.cc' },
  { id = 'G44', name = 'idle_term', level = 'error', code = 6, accept = 'monitor=true of the term',
    check = 'engine/train/loss/loss.cc' },
  { id = 'G45', name = 'leak', level = 'error', code = 6, key = true, accept = 'model.causal=false, data.shift=n',
    check = 'scripts/guards/causality.lua' },
}

local by_name, names = {}, {}
for _, row in ipairs(registry.rows) do
  by_name[row.id], by_name[row.name] = row, row
  names[#names + 1] = row.name
end

---The row of a guard. Raises (exit 3) if no guard has that name.
---@param name string an id or a name
---@return { id: string, name: string, level: string, code: integer, key: boolean?, accept: string?, check: string? }
function registry.find(name)
  return by_name[name] or fail.config("there is no guard '%s'%s", tostring(name), nearest.hint(tostring(name), names))
end

---The options of the config's section `guards`, for specs.lua.
---@return table spec
function registry.spec()
  local spec = {}
  for _, row in ipairs(registry.rows) do
    if row.key then spec[row.name] = { 'string', row.level, one_of = LEVELS, meaning = 'guard ' .. row.id } end
  end
  spec.nonfinite = { 'string', 'error', meaning = 'guard G23: error, or skip:N for up to N updates in a row' }
  spec.loss_spike = { 'table', { ratio = 3 },
    meaning = 'guard G23 stops at a loss above so many times the first; 0: never' }
  spec.grad_norm = { 'table', { ratio = 20 },
    meaning = 'guard G23 warns of a gradient norm above so many times its median; 0: never' }
  spec.memory = { 'table', { limit_mb = 0 },
    meaning = "guard G31 stops a training that would need more megabytes by its end; 0: the machine's" }
  return spec
end

---The levels of the guards that have a key, by name.
---@param values table the section `guards` of a config
---@return table<string, string>
function registry.levels(values)
  local levels = {}
  for _, row in ipairs(registry.rows) do
    if row.key then levels[row.name] = values[row.name] end
  end
  return levels
end

---The guard that speaks in a message such as "train.lua:3: G05 init_loss: first loss ...", and what it says. nil when
---none does.
---@param message string
---@return table? row, string? said beginning with the id
function registry.speaker(message)
  for id, name in message:gmatch '(G%d%d) ([%l_]+):' do
    local row = by_name[id]
    if row and row.name == name then return row, message:match(('%s %s:.*'):format(id, name)) end
  end
  return nil
end

---A guard's message.
---@param id string
---@param text string what follows "Gnn name: "; further arguments are for string.format
---@return string
function registry.say(id, text, ...)
  local row = registry.find(id)
  return ('%s %s: %s'):format(row.id, row.name, select('#', ...) > 0 and text:format(...) or text)
end

---Ends the run with the guard's exit code.
---@param id string
---@param text string see say
function registry.stop(id, text, ...)
  return fail.raise(registry.find(id).code, '%s', registry.say(id, text, ...))
end

return registry
