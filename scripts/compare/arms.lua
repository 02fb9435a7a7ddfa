-- Runs as arms: the runs of one configuration, whatever their seed. Within an arm each seed counts once, by its
-- newest run that is complete; what is left out is told, never dropped in silence.
local fail = require 'fail'
local nearest = require 'nearest'
local statistics = require 'statistics'

local compare_arms = {}

local function paths_of(records)
  local seen, paths = {}, {}
  for _, record in ipairs(records) do
    for path in pairs(record.values) do
      if not seen[path] then paths[#paths + 1] = path end
      seen[path] = true
    end
  end
  table.sort(paths)
  return paths
end

-- Paths whose values differ between records.
local function differing(records)
  local found = {}
  for _, path in ipairs(paths_of(records)) do
    for _, record in ipairs(records) do
      if record:value(path) ~= records[1]:value(path) then
        found[#found + 1] = path
        break
      end
    end
  end
  return found
end

local function has_several_experiments(records)
  for _, record in ipairs(records) do
    if record.run.experiment ~= records[1].run.experiment then return true end
  end
  return false
end

local function check_keys(keys, records)
  local known = paths_of(records)
  local is_known = {}
  for _, path in ipairs(known) do is_known[path] = true end
  for _, key in ipairs(keys) do
    if key == 'train.seed' then
      fail.config("--by train.seed: seeds are what an arm's mean is over; choose another key")
    end
    if not is_known[key] then fail.config("--by: no run has the key '%s'%s", key, nearest.hint(key, known)) end
  end
end

-- Numbers by size, everything else as text.
local function comes_before(a, b)
  for i, value in ipairs(a.values) do
    local x, y = tonumber(value), tonumber(b.values[i])
    if x and y and x ~= y then return x < y end
    if value ~= b.values[i] and not (x and y) then return value < b.values[i] end
  end
  return a.label < b.label
end

-- Keys whose values differ between runs of one experiment; runs of different ones are told apart by their experiment.
local function differing_within(records)
  local by_experiment, seen, keys = {}, {}, {}
  for _, record in ipairs(records) do
    local name = record.run.experiment
    by_experiment[name] = by_experiment[name] or {}
    table.insert(by_experiment[name], record)
  end
  for _, own in pairs(by_experiment) do
    for _, path in ipairs(differing(own)) do
      if not seen[path] then keys[#keys + 1] = path end
      seen[path] = true
    end
  end
  table.sort(keys)
  return keys
end

local function group(records, keys, with_experiment)
  local arms, by_label = {}, {}
  for _, record in ipairs(records) do
    local values, parts = {}, {}
    for i, key in ipairs(keys) do
      values[i] = record:value(key)
      parts[i] = ('%s=%s'):format(key, values[i])
    end
    if with_experiment then
      table.insert(values, 1, record.run.experiment)
      table.insert(parts, 1, record.run.experiment)
    end
    local label = #parts > 0 and table.concat(parts, ' ') or record.run.experiment
    local arm = by_label[label]
    if not arm then
      arm = { label = label, values = values, records = {} }
      by_label[label], arms[#arms + 1] = arm, arm
    end
    table.insert(arm.records, record)
  end
  table.sort(arms, comes_before)
  return arms
end

-- What the runs differ in besides the keys of the arms and what is mixed within them.
local function also_differing(records, keys, arms)
  local known, rest = {}, {}
  for _, key in ipairs(keys) do known[key] = true end
  for _, arm in ipairs(arms) do
    for _, path in ipairs(arm.mixed) do known[path] = true end
  end
  for _, path in ipairs(differing(records)) do
    if not known[path] then rest[#rest + 1] = path end
  end
  return rest
end

-- Under --by an arm may hold several configurations. Averaging over them is refused, or marked.
local function check_mixture(arms, records, keys, allow_mixed)
  local marks = {}
  for _, arm in ipairs(arms) do
    local mixed = differing(arm.records)
    if #mixed > 0 and not allow_mixed then
      fail.config("arm '%s' holds runs that differ in %s; add --by %s, or average over them with --allow-mixed",
        arm.label, table.concat(mixed, ', '), mixed[1])
    end
    arm.mixed = mixed
    if #mixed > 0 then
      marks[#marks + 1] = ("arm '%s' is mixed: its runs differ in %s"):format(arm.label, table.concat(mixed, ', '))
    end
  end
  local rest = also_differing(records, keys, arms)
  if #rest > 0 then marks[#marks + 1] = ('the arms also differ in %s'):format(table.concat(rest, ', ')) end
  return marks
end

---Groups records into arms, sorted. Without `by` an arm is a configuration; its label names the values that differ.
---@param records table[]
---@param by string[]? keys of the config
---@param allow_mixed boolean?
---@return table[] arms, string[] keys, string[] marks
function compare_arms.group(records, by, allow_mixed)
  if by then check_keys(by, records) end
  local keys = by or differing_within(records)
  local arms = group(records, keys, not by and has_several_experiments(records))
  local marks = by and check_mixture(arms, records, keys, allow_mixed) or {}
  return arms, keys, marks
end

-- Runs are paired by seed and, in a mixed arm, by what else they differ in.
local function unit_key(record, arm)
  local parts = { tostring(record.seed or 'NA') }
  for _, path in ipairs(arm.mixed or {}) do parts[#parts + 1] = ('%s=%s'):format(path, record:value(path)) end
  return table.concat(parts, ' ')
end

local function partial_text(record)
  local far = record.step and ('%d of %s steps'):format(record.step,
    record.steps and ('%d'):format(record.steps) or 'NA') or 'NA'
  local by_hand = record.by_hand and (', changed by hand %s while it trained; --intervened takes it'):format(
    record.interventions == 1 and 'once' or record.interventions .. ' times')
  return ('%s %s%s%s'):format(record.state, far, record.is_trial and ', a --fast-dev-run' or '', by_hand or '')
end

-- The run that counts for a unit: the newest complete one, or under --partial the newest. One that was changed by hand
-- counts where it was asked for.
local function choose(records, partial)
  local chosen
  for _, record in ipairs(records) do
    if not record.by_hand and (record.complete or partial) then
      local better = not chosen or (record.complete and not chosen.complete)
        or (record.complete == chosen.complete and record.run.id > chosen.run.id)
      if better then chosen = record end
    end
  end
  return chosen
end

local function describe_unit(unit, chosen, name, notes)
  for _, record in ipairs(unit.records) do
    if not chosen then
      notes[#notes + 1] = ('seed %s left out: %s (%s)'):format(unit.key, partial_text(record), record.name)
    elseif record == chosen and not record.complete then
      notes[#notes + 1] = ('seed %s is partial: %s (%s)'):format(unit.key, partial_text(record), record.name)
    elseif record ~= chosen and (record.by_hand or not record.complete) then
      notes[#notes + 1] = ('seed %s: %s %s was repeated by %s'):format(unit.key, partial_text(record), record.name,
        chosen.name)
    elseif record ~= chosen then
      local a, b = record:metric(name[1], name[2]), unit.value
      local same = a and b and statistics.same(a, b) or a == b
      notes[#notes + 1] = same
        and ('seed %s: %s gave the same as %s and is left out'):format(unit.key, record.name, chosen.name)
        or ('seed %s has two results: %s (%s, left out) and %s (%s)'):format(unit.key,
          a and ('%.12g'):format(a) or 'NA', record.name, b and ('%.12g'):format(b) or 'NA', chosen.name)
    end
  end
  if chosen and not unit.value then
    notes[#notes + 1] = ('seed %s has no %s (%s)'):format(unit.key, name[1], chosen.name)
  end
end

local function units_of(arm)
  local units, by_key = {}, {}
  for _, record in ipairs(arm.records) do
    local key = unit_key(record, arm)
    if not by_key[key] then
      by_key[key] = { key = key, seed = record.seed, records = {} }
      units[#units + 1] = by_key[key]
    end
    table.insert(by_key[key].records, record)
  end
  table.sort(units, function(a, b)
    if a.seed ~= b.seed and type(a.seed) == 'number' and type(b.seed) == 'number' then return a.seed < b.seed end
    return a.key < b.key
  end)
  return units, by_key
end

---Fills an arm with its units (one per seed), the values that count, their interval, and notes on what does not count.
---@param arm table
---@param name string the metric
---@param mode string 'best' or 'last'
---@param partial boolean? runs that did not finish count as well
function compare_arms.fill(arm, name, mode, partial)
  arm.units, arm.by_key = units_of(arm)
  arm.numbers, arm.used, arm.notes = {}, {}, {}
  for _, unit in ipairs(arm.units) do
    local chosen = choose(unit.records, partial)
    unit.record = chosen
    unit.value = chosen and chosen:metric(name, mode)
    describe_unit(unit, chosen, { name, mode }, arm.notes)
    if unit.value then
      arm.numbers[#arm.numbers + 1], arm.used[#arm.used + 1] = unit.value, chosen
    end
  end
  arm.interval = statistics.interval(arm.numbers)
end

---Units that count in both arms, in the order of the first.
---@return { key: string, a: table, b: table }[]
function compare_arms.pairs(a, b)
  local found = {}
  for _, unit in ipairs(a.units) do
    local other = b.by_key[unit.key]
    if unit.value and other and other.value then found[#found + 1] = { key = unit.key, a = unit, b = other } end
  end
  return found
end

---The arm that a word names: its label, or the value of its key. The first arm without a word.
---@param arms table[]
---@param word string?
---@return table arm
function compare_arms.baseline(arms, word)
  if not word then return arms[1] end
  local names = {}
  for _, arm in ipairs(arms) do
    if arm.label == word or table.concat(arm.values, ' ') == word then return arm end
    names[#names + 1] = #arm.values == 1 and arm.values[1] or arm.label
  end
  local value = tonumber(word)
  for _, arm in ipairs(arms) do
    if value and #arm.values == 1 and tonumber(arm.values[1]) == value then return arm end
  end
  fail.usage("--baseline: no arm is '%s'%s", word, nearest.hint(word, names))
end

return compare_arms
