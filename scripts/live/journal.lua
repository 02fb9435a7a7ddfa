-- What people change in a training by hand: each change is an event in metrics.jsonl, so that such a run can be told
-- from one that went by its config alone.
local host = require 'host'

local journal = {}

-- Who acts and by which words; the prompt and `runner attach` say so for the time of a line.
local actor = nil

---From here on changes are those of this line.
---@param given { who: string?, by: string, text: string }? nil: nobody's
---@return table? before whose they were
function journal.act_as(given)
  local before = actor
  actor = given
  return before
end

---The user's name, as far as it is known.
---@return string
function journal.user()
  return host.user_name() or 'unknown'
end

-- The line of the script that asks, where no prompt said what was typed.
local function place_in_script()
  for level = 3, 30 do
    local info = debug.getinfo(level, 'Sl')
    if not info then break end
    if info.currentline > 0 and info.source:sub(1, 11) ~= '=[lanthorn]' then
      return ('%s:%d'):format(info.short_src, info.currentline)
    end
  end
  return 'a script'
end

---Writes one change down.
---@param training table
---@param change string such as "optim.lr 0.002 -> 0.001"
function journal.changed(training, change)
  local by = actor or { by = 'script', text = place_in_script() }
  training.run:log { kind = 'event', event = 'intervention', who = by.who or journal.user(), by = by.by,
    text = by.text, change = change }
  training.interventions = (training.interventions or 0) + 1
  training.run:status { interventions = training.interventions }
end

---How often a run was changed so far: an attempt that goes on counts from there.
---@param path string its folder
---@return integer
function journal.count(path)
  local count = 0
  for text in host.metrics_lines(path .. '/metrics.jsonl') or function() end do
    if text:find('"event":"intervention"', 1, true) then count = count + 1 end
  end
  return count
end

return journal
