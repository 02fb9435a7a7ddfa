-- Sweeps in tests: a script whose cells are short, and what became of them.
--   local sweeps = require 'testing.sweeps'
--   local script = runs.write(name, sweeps.SCRIPT)
local dkjson = require 'dkjson'
local host = require 'host'
local runs = require 'testing.runs'

local sweeps = {}

-- Twelve updates; `fail_at` breaks one, `sleep` makes a training long enough to be disturbed.
sweeps.SCRIPT = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local nn, torch = require 'nn', require 'torch'
local cfg = experiment.config { optim = { lr = 0.01 }, model = { width = 4 }, train = { epochs = 3, seed = 1 },
  checkpoint = { every = { steps = 4 } }, test = { fail_at = experiment.optional 'int', sleep = experiment.number(0) } }
torch.manual_seed(cfg.train.seed)
local x = torch.randn({ 64, 2 })
local y = x:sum({ 1 }, true)
local model = nn.Sequential { nn.Linear { 2, cfg.model.width }, nn.Tanh(), nn.Linear { cfg.model.width, 1 } }
local hook = { name = 'hook', every = 1, over_budget = 'off', on_step = function(_, record)
  if record.step == cfg.test.fail_at then error 'the cell breaks' end
  if cfg.test.sleep > 0 then os.execute('sleep ' .. cfg.test.sleep) end
end }
train.fit { model = model, data = data.tensors { x = x, y = y, val_x = x, val_y = y, batch = 16 }, loss = 'mse',
  optim = cfg.optim, options = cfg.train, callbacks = { hook } }
]]

---The cells of a sweep of SCRIPT as `runner sweep status --json` has them, in order; none before it is planned.
---@param name string
---@return table[]
function sweeps.cells(name)
  local rows = {}
  for line in runs.command('sweep', 'status', name, '--json'):gmatch '[^\n]+' do
    local row = dkjson.decode(line)
    if row and row.kind == 'cell' then rows[#rows + 1] = row end
  end
  return rows
end

---How many cells are in each state.
---@param name string
---@return table<string, integer>
function sweeps.states(name)
  local counts = {}
  for _, cell in ipairs(sweeps.cells(name)) do counts[cell.state] = (counts[cell.state] or 0) + 1 end
  return counts
end

---How far the run of a cell is: host.read_progress, or nil.
---@param folder string of the sweep
---@param cell table
---@return table?
function sweeps.progress(folder, cell)
  return host.read_progress(('%s/cells/%s/run/.progress'):format(folder, cell.id))
end

return sweeps
