-- %profile: where the time of an input goes, by LuaJIT's sampling profiler. Native code counts for the line that calls.
local console = require 'console'
local evaluate = require 'prompt.evaluate'
local fail = require 'fail'
local pretty = require 'pretty'

local magic = { takes = 'f()', summary = 'where the time goes, by line' }

local SHOWN = 12
local STATES = { C = 'native code', I = 'Lua', N = 'compiled Lua', G = 'garbage collector', J = 'compiler' }

local function sorted(counts)
  local rows = {}
  for name, count in pairs(counts) do rows[#rows + 1] = { name, count } end
  table.sort(rows, function(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    return a[1] < b[1]
  end)
  return rows
end

function magic.run(prompt, text)
  if text == '' then fail.usage('%profile: of what? %profile f()') end
  local profiler = require 'jit.profile'
  local lines, states, total = {}, {}, 0
  profiler.start('li1', function(thread, samples, state)
    local place = profiler.dumpstack(thread, 'pl', 1)
    lines[place] = (lines[place] or 0) + samples
    states[state] = (states[state] or 0) + samples
    total = total + samples
  end)
  local worked, problem = evaluate.run(prompt, text)
  profiler.stop()
  if total == 0 then
    console.write 'too short to sample: less than a millisecond\n'
    return worked, problem
  end
  for i, row in ipairs(sorted(lines)) do
    if i > SHOWN then break end
    console.write(('%5.1f %%  %s\n'):format(100 * row[2] / total, row[1]))
  end
  local parts = {}
  for _, row in ipairs(sorted(states)) do
    parts[#parts + 1] = ('%s %.0f %%'):format(STATES[row[1]] or row[1], 100 * row[2] / total)
  end
  console.write(('%s of 1 ms: %s\n'):format(pretty.plural(total, 'sample'), table.concat(parts, ', ')))
  return worked, problem
end

return magic
