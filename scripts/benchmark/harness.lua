-- Timing for `runner bench`: cases of one workload run in turn, round by round, with PyTorch's in between, so that a
-- busy machine is equally unfair to all. Medians over all rounds; the first steps of each round warm up and do not
-- count.
local bench_peer = require 'benchmark.peer'
local host = require 'host'

local harness = { WARMUP = 3, ENOUGH = 9 }

---Sections of a trainer that makes so many updates without evals: those given, and what that needs.
---@param updates integer
---@param batches integer of an epoch
---@param given table? such as { tscore = { every = 1 } }
---@return table
function harness.sections(updates, batches, given)
  local made = { train = { max_steps = updates, epochs = math.ceil(updates / batches) }, eval = { off = true } }
  for name, options in pairs(given or {}) do
    made[name] = made[name] or {}
    for key, value in pairs(options) do made[name][key] = value end
  end
  return made
end

---Trains for so many updates after the warm-up. Returns each one's time in ms.
---@param parts { model: Module, train: Batches, optimizer: Optimizer }
---@param updates integer
---@param given table? sections of the trainer's options, as of harness.sections
---@return number[]
function harness.step_times(parts, updates, given)
  parts.sections = harness.sections(updates + harness.WARMUP, parts.train:count(), given)
  local times, trainer = {}, require('lanthorn').train.new(parts)
  trainer:on_step(1, function(record)
    if record.step > harness.WARMUP then times[#times + 1] = record.step_ms end
  end)
  trainer:run()
  trainer:close()
  return times
end

---The median; nil of an empty list. Sorts the list.
---@param values number[]
---@return number?
function harness.median(values)
  if #values == 0 then return nil end
  table.sort(values)
  local middle = math.floor((#values + 1) / 2)
  return #values % 2 == 1 and values[middle] or (values[middle] + values[middle + 1]) / 2
end

---Seconds that f() takes.
---@param f function
---@return number seconds
function harness.seconds(f)
  local begin = host.now()
  f()
  return host.now() - begin
end

local function append(list, more)
  for _, value in ipairs(more) do list[#list + 1] = value end
end

-- Peer cases of the list, each once.
local function peers_of(cases)
  local names, seen = {}, {}
  for _, case in ipairs(cases) do
    for _, name in ipairs(case.peers or {}) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  return names
end

-- The times of a case's best peer: the one with the smallest median.
local function best_of(case, theirs)
  local best
  for _, name in ipairs(case.peers or {}) do
    local times = theirs[name]
    if times and #times > 0 and (not best or harness.median(times) < harness.median(best)) then best = times end
  end
  return best
end

-- One row as the table and the JSON show it; a value that was not measured is absent.
local function to_row(context, case, ours, theirs)
  local ms, peer_ms = harness.median(ours), theirs and harness.median(theirs)
  local row = { name = case.name, precision = case.precision or 'fp32', threads = context.threads, ours_ms = ms,
    steps = #ours, peer_ms = peer_ms, peer_steps = theirs and #theirs or nil,
    ratio = peer_ms and ms and peer_ms / ms or nil, speed = case.speed }
  if case.flop and ms then
    row.gflops = case.flop / ms / 1e6
    row.gemm_share = context.gemm and row.gflops * 1e9 / context.gemm or nil
  end
  if case.bytes and ms then
    row.gb_s = case.bytes / ms / 1e6
    row.bandwidth_share = context.bandwidth and row.gb_s * 1e9 / context.bandwidth.triad or nil
  end
  return row
end

---Times cases in turn. A case is { name =, run = f(steps) -> times in ms without warm-up, peers = names of cases of
---peer.py of which the fastest counts?, precision =?, flop = nominal FLOP of a step?, bytes = memory a step must
---move?, steps = of its own? }.
---@param context table of the command: threads, rounds, steps, peer, gemm, bandwidth, note
---@param cases table[]
---@return table[] rows in the order of the cases
function harness.interleave(context, cases)
  local times, theirs = {}, {}
  for i in ipairs(cases) do times[i] = {} end
  for round = 1, context.rounds do
    context.note(('round %d of %d'):format(round, context.rounds))
    for i, case in ipairs(cases) do append(times[i], case.run(case.steps or context.steps)) end
    for _, name in ipairs(context.peer and peers_of(cases) or {}) do
      local found = bench_peer.run(context, name)
      theirs[name] = theirs[name] or {}
      append(theirs[name], found or {})
    end
    context.measure_gemm()
  end
  local rows = {}
  for i, case in ipairs(cases) do rows[i] = to_row(context, case, times[i], best_of(case, theirs)) end
  return rows
end

---A bar of the project: what was measured beside what is accepted and aimed at. An absent value is "not measured".
---@param id string such as "P1"
---@param what string
---@param value number?
---@param bar { accept: number?, aim: number, less: boolean?, unit: string?,
---also: table? } less: smaller is better; accept is
---absent where there is but an aim; also = { value: number?, aim: number, of: string }: what the aim needs beside
---@return table
function harness.bar(id, what, value, bar)
  local meets = function(limit)
    if bar.less then return value <= limit end
    return value >= limit
  end
  local also = bar.also
  local whole = not also or also.value ~= nil and also.value >= also.aim
  local met = not value and 'not measured' or whole and meets(bar.aim) and 'aim'
    or bar.accept and meets(bar.accept) and 'accept' or 'missed'
  return { id = id, what = what, value = value, accept = bar.accept, aim = bar.aim, less = bar.less or false,
    unit = bar.unit, met = met, also = also }
end

---a / b, or nil when one is missing.
---@param a number?
---@param b number?
---@return number?
function harness.ratio(a, b)
  return a and b and b > 0 and a / b or nil
end

return harness
