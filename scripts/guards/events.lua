-- The guards of one train.fit: what fired or was switched off is an event in metrics.jsonl and an entry in exit.json.
-- What happens before there is a run directory is kept until there is one.
local console = require 'console'
local fail = require 'fail'
local guards = require 'guards.registry'

local events = {}

local waiting = {}                                       -- entries made before the run directory
local entries = setmetatable({}, { __mode = 'k' })       -- run -> its entries

local function remember(run, entry)
  entries[run] = entries[run] or {}
  table.insert(entries[run], entry)
end

local function record(run, entry)
  if not run then
    waiting[#waiting + 1] = entry
    return
  end
  remember(run, entry)
  local line = { kind = 'event', event = 'guard' }
  for key, value in pairs(entry) do line[key] = value end
  run:log(line)
end

local function make(row, level, message, more)
  more = more or {}
  return { id = row.id, name = row.name, level = level, message = message, value = more.value, limit = more.limit,
    step = more.step, no_claim = more.no_claim }
end

---Begins the record of a training, with the guards that its options switch off.
---@param levels table<string, string> by the guard's name, as specs.guards has them
function events.begin(levels)
  waiting = {}
  for _, row in ipairs(guards.rows) do
    if levels[row.name] == 'off' then events.switched_off(row.id, ('guards.%s=off'):format(row.name)) end
  end
end

---Records that a guard does not look.
---@param id string
---@param how string the setting that did it, such as "data.allow_leak=true"
function events.switched_off(id, how)
  record(nil, make(guards.find(id), 'off', guards.say(id, 'switched off by %s', how)))
end

---Tells a warning and records it.
---@param run table? nil before there is a run directory
---@param message string "G05 init_loss: ..."
---@param more { value: number?, limit: number?, step: integer?,
---no_claim: boolean? }? no_claim: comparisons conclude nothing about quality
function events.warned(run, message, more)
  local row, said = guards.speaker(message)
  if not row then fail.raise(1, 'the guard of this warning has no row in guards/registry.lua: %s', message) end
  console.warn('warning: ' .. said)
  record(run, make(row, 'warn', said, more))
end

---A guard found something: stops, warns or does nothing, as its level says.
---@param id string
---@param level string error, warn or off
---@param text string what was found; see guards.say
---@param more table? see warned; also run
function events.fired(id, level, text, more)
  if level == 'off' then return end
  if level == 'error' then guards.stop(id, '%s', text) end
  events.warned(more and more.run, guards.say(id, '%s', text), more)
end

---Writes what was kept into the run that is there now.
---@param run table
function events.attach(run)
  local kept = waiting
  waiting = {}
  for _, entry in ipairs(kept) do record(run, entry) end
end

---What exit.json lists of a run, with the guard that ended it if one did.
---@param run table
---@param message string why the run ended
---@param told boolean whether the guard wrote its event itself, as the watchdog does
---@return table[]
function events.finish(run, message, told)
  local row, said = guards.speaker(message)
  if row then (told and remember or record)(run, make(row, 'error', said)) end
  return entries[run] or {}
end

return events
