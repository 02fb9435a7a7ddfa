-- data.tasks: tasks of rows, one after the other, such as classes that come in pairs or pictures permuted anew.
local data_set = require 'sources.data_set'
local fail = require 'fail'
local native = require 'lanthorn'
local options = require 'options'
local pretty = require 'pretty'

local data = {}

local TASK = { name = 'string?', x = 'Tensor', y = 'Tensor', val_x = 'Tensor?', val_y = 'Tensor?' }
local SPEC = { tasks = 'list', batch = { 'int', 64, min = 1 }, shuffle = { 'boolean', true },
  drop_last = { 'boolean', false }, batches = { 'int', 0, min = 0 }, phases = 'list?', passes = { 'int', 1, min = 1 },
  interleaved = { 'boolean', false }, vocab_size = 'int?', seed = 'int?' }

---@class TaskData: DataSet
---@field names string[]
---@field phases table[] { end_batch=, passes=, domain= } of each
---@field seed integer of the order of rows
---@field inputs integer the last size of x
local Tasks = data_set.derive { kind = 'tasks' }

-- The val batches of a task, from 1, and its train batches: those of the first pass of its first phase.
function Tasks:val_of(task) return self.vals[task] end
function Tasks:train_of(task) return self.firsts[task] end

function Tasks:lines(plan)
  local o = self.options
  return { ('%d tasks: %s'):format(#self.names, table.concat(self.names, ', ')),
    ('train %s batches of %d rows, %s; %s%s   val %s'):format(pretty.count(self.train:count()), o.batch,
      o.shuffle and 'shuffled' or 'in order', o.interleaved and 'tasks take turns' or #self.phases == 1 and '1 phase'
      or #self.phases .. ' phases one after the other', o.passes > 1 and (', %d passes each'):format(o.passes) or '',
      plan.val), plan.batches }
end

local function rows_of(tensor) return tensor.shape[1] end
local function shape_of(tensor) return ('(%s)'):format(table.concat(tensor.shape, ', ')) end

-- Batches of one pass; each has an order of its own.
local function pass_of(task, o, seed, number)
  local rows = rows_of(task.x)
  local used = o.batches > 0 and math.min(rows, o.batches * o.batch) or rows
  return native.data.from_tensors(task.x:narrow(0, 0, used), task.y:narrow(0, 0, used),
    { batch = math.min(o.batch, used), shuffle = o.shuffle,
    drop_last = o.drop_last, seed = seed + number * 1000003 })
end

-- As many rows of x as of y, as wide as those of the first task.
local function check_task(task, first, name)
  for _, pair in ipairs { { 'x', 'y' }, { 'val_x', 'val_y' } } do
    local x, y = task[pair[1]], task[pair[2]]
    if x:dim() == 0 or y:dim() == 0 or rows_of(x) ~= rows_of(y) or rows_of(x) == 0 then
      fail.data('%s: %s is %s and %s is %s; both must have as many rows, and at least one', name, pair[1],
        shape_of(x), pair[2], shape_of(y))
    end
    for d = 2, math.max(x:dim(), first.x:dim()) do
      if x.shape[d] ~= first.x.shape[d] then
        fail.data('%s: %s is %s, but the x of tasks[1] is %s; one model takes rows of one shape', name, pair[1],
          shape_of(x), shape_of(first.x))
      end
    end
  end
end

local function open(o, seed)
  local passes, vals, firsts, names, bytes = {}, {}, {}, {}, 0
  for t, task in ipairs(o.tasks) do
    names[t] = task.name
    vals[t] = native.data.from_tensors(task.val_x, task.val_y, { batch = math.min(o.batch, rows_of(task.val_x)) })
    for _, tensor in ipairs { task.x, task.y, task.val_x, task.val_y } do
      bytes = bytes + tensor:numel() * tensor:element_size()
    end
  end
  for _, task in ipairs(o.phases) do
    for _ = 1, o.passes do passes[#passes + 1] = pass_of(o.tasks[task], o, seed, #passes) end
    firsts[task] = firsts[task] or passes[#passes - o.passes + 1]
  end
  for t, task in ipairs(o.tasks) do firsts[t] = firsts[t] or pass_of(task, o, seed, 0) end -- without a phase
  local train = native.data.from_phases(passes, o.phases, { interleaved = o.interleaved })
  return setmetatable({ options = o, names = names, vals = vals, firsts = firsts, seed = seed, bytes = bytes,
    train = train, val = native.data.joined(vals), phases = native.data.phases_of(train), vocab_size = o.vocab_size,
    inputs = o.tasks[1].x.shape[o.tasks[1].x:dim()] }, Tasks)
end

---The same tasks with other options, such as `phases` or `seed`.
---@param changes table
---@return TaskData
function Tasks:with(changes)
  return open(options.with(self.options, changes), changes.seed or self.seed)
end

---The same tasks with the orders of another seed.
---@param seed integer
---@return TaskData
function Tasks:with_seed(seed) return seed == self.seed and self or self:with { seed = seed } end

---Tasks one after the other, each once or as `phases` says, with `passes` over its rows, or over those of its first
---`batches`; or taking turns (`interleaved`). `vocab_size`: how many classes y has.
---@param given { tasks: { name: string?, x: Tensor, y: Tensor, val_x: Tensor, val_y: Tensor }[], batch: integer?,
---shuffle: boolean?, drop_last: boolean?, batches: integer?, phases: integer[]?, passes: integer?,
---interleaved: boolean?, vocab_size: integer?, seed: integer? }
---@return TaskData
function data.tasks(given, config)
  local o = options.check('data.tasks', given, SPEC)
  if #o.tasks == 0 then fail.config 'data.tasks: no task is given, expected at least one {x=, y=, val_x=, val_y=}' end
  local taken = {}
  for t, task in ipairs(o.tasks) do
    local name = ('data.tasks: tasks[%d]'):format(t)
    o.tasks[t] = options.check(name, task, TASK)
    if not task.val_x or not task.val_y then
      fail.config('%s has no val_x and val_y; what is kept of a task is measured on them', name)
    end
    check_task(o.tasks[t], o.tasks[1], name)
    o.tasks[t].name = o.tasks[t].name or 'task_' .. t
    if taken[o.tasks[t].name] then
      fail.config("%s and tasks[%d] are both called '%s'", name, taken[o.tasks[t].name], o.tasks[t].name)
    end
    taken[o.tasks[t].name] = t
  end
  o.phases = o.phases or {}
  if #o.phases == 0 then
    for t = 1, #o.tasks do o.phases[t] = t end
  end
  for _, task in ipairs(o.phases) do
    if not o.tasks[task] then
      fail.config('data.tasks: phases names task %s, expected 1 to %d', tostring(task), #o.tasks)
    end
  end
  return open(o, o.seed or config.seed)
end

return data.tasks
