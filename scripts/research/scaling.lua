-- How training scales with threads: the same updates for every row, by all threads in each product or by replicas with
-- rows of their own. Only what was measured is divided, and only by the measured row of one thread.
local fail = require 'fail'
local host = require 'host'
local native = require 'lanthorn'
local optimizer_of = require 'fit.optimizer'
local statistics = require 'statistics'
local torch = require 'torch'

local scaling = {}

local SAME_WORK = 1e-4 -- relative difference of the losses up to which two rows did the same work

local PARTS = { 'sampling', 'forward', 'backward', 'reduce', 'optimizer' }

-- One update; its times in ms.
local function update(net, text, optimizer, i, replicas)
  local times, start = {}, host.now()
  local x, y = text.train:get(i % text.train:count())
  times.sampling = host.now() - start
  local pass = native.train.replica_gradients(net, x, y, replicas)
  times.forward, times.backward, times.reduce = pass.forward_s, pass.backward_s, pass.reduce_s
  local before = host.now()
  optimizer:step()
  net:zero_grad()
  times.optimizer, times.all = host.now() - before, host.now() - start
  for part, seconds in pairs(times) do times[part] = 1000 * seconds end
  return times, pass.loss
end

local function gradient_sum(net, text, replicas)
  local x, y = text.train:get(0)
  native.train.replica_gradients(net, x, y, replicas)
  local sum = 0
  for _, parameter in ipairs(net:parameters()) do
    if parameter.grad then sum = sum + parameter.grad:double():abs():sum():item() end
  end
  net:zero_grad()
  return sum
end

---Measures one row. o: build (a new net from the same seed), text, optim, strategy (intra_op or replicas), threads,
---warm_up, iterations, repeats.
---@param o table
---@return table row median, p10, p90 (ms an update), cpu (seconds of CPU a second), parts (medians, ms), loss, gradient
function scaling.measure(o)
  local replicas = o.strategy == 'replicas' and o.threads or 1
  if o.text.options.batch % replicas ~= 0 then
    fail.config('scaling: %d rows cannot be divided evenly among %d replicas', o.text.options.batch, replicas)
  end
  local before = torch.get_num_threads()
  torch.set_num_threads(o.threads)
  local net = o.build()
  local optimizer = optimizer_of.build(net, o.optim)
  local all, parts, wall, cpu, loss = {}, {}, 0, 0, nil
  for _, part in ipairs(PARTS) do parts[part] = {} end
  local done = 0
  for _ = 1, o.warm_up do
    update(net, o.text, optimizer, done, replicas)
    done = done + 1
  end
  for _ = 1, o.iterations * o.repeats do
    local cpu_before = os.clock()
    local times, found = update(net, o.text, optimizer, done, replicas)
    done, loss = done + 1, found
    wall, cpu = wall + times.all / 1000, cpu + os.clock() - cpu_before
    all[#all + 1] = times.all
    for _, part in ipairs(PARTS) do table.insert(parts[part], times[part]) end
  end
  local row = { strategy = o.strategy, threads = o.threads, cpu = cpu / wall, parts = {}, loss = loss,
    gradient = gradient_sum(net, o.text, replicas), median = statistics.quantile(all, 0.5),
    p10 = statistics.quantile(all, 0.1), p90 = statistics.quantile(all, 0.9) }
  for _, part in ipairs(PARTS) do row.parts[part] = statistics.quantile(parts[part], 0.5) end
  torch.set_num_threads(before)
  return row
end

---Speed-up and efficiency of every row that did the same work as the first, which has one thread.
---@param rows table[]
function scaling.compare(rows)
  local one = rows[1]
  if one.threads ~= 1 then fail.config 'scaling: the first row must have one thread' end
  for _, row in ipairs(rows) do
    row.same_work = math.abs(row.loss - one.loss) <= SAME_WORK * math.abs(one.loss)
    if row.same_work then
      row.speed_up = one.median / row.median
      row.efficiency = row.speed_up / row.threads
    end
  end
end

---How much faster n workers are where a share of the work is serial (Amdahl 1967).
---@param serial number
---@param n integer
---@return number
function scaling.amdahl(serial, n) return 1 / (serial + (1 - serial) / n) end

---The serial share that a speed-up by n workers means.
---@param speed_up number
---@param n integer
---@return number
function scaling.serial_share(speed_up, n) return (1 / speed_up - 1 / n) / (1 - 1 / n) end

---Least squares of 1 / speed-up = f + (1 - f) / n over rows of one strategy with at most so many threads; nil with the
---reason when they are fewer than three.
---@param rows table[] as scaling.compare left them
---@param strategy string
---@param cores integer physical ones
---@return number? serial
---@return string? why
function scaling.fit(rows, strategy, cores)
  local top, bottom, count = 0, 0, 0
  for _, row in ipairs(rows) do
    if row.speed_up and row.threads <= cores and (row.strategy == strategy or row.threads == 1) then
      local a = 1 - 1 / row.threads -- 1 / speed-up - 1 / n = f (1 - 1 / n)
      top, bottom, count = top + a * (1 / row.speed_up - 1 / row.threads), bottom + a * a, count + 1
    end
  end
  if count < 3 then
    return nil, ('%d row%s of up to %d cores are too few for a fit; three are needed'):format(count,
      count == 1 and '' or 's', cores)
  end
  return top / bottom
end

return scaling
