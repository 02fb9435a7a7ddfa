-- Reads .progress of a run directory: what its process does, and whether it gets on with it. The layout is in
-- engine/run/README.md: 12 words of 8 bytes, little-endian.
local read_file = require 'base.read_file'

local progress_file = {}

local MAGIC, WORDS = 'LLPROG01', 12
local PHASES = { [0] = 'load', 'build', 'train', 'eval', 'save', 'report', 'done' }

local function word(text, index)
  local value = 0
  for at = 8 * index + 8, 8 * index + 1, -1 do value = value * 256 + text:byte(at) end
  return value
end

---Reads the file: pid, counter, phase, step, done, of, time_s, slowest_step_s, slowest_eval_s, slowest_save_s, steps.
---Nothing and a message when it is not there or not whole.
---@param path string
---@return table? progress, string? message
function progress_file.read(path)
  local text, message = read_file(path)
  if not text then return nil, message end
  if #text < 8 * WORDS or text:sub(1, 8) ~= MAGIC then return nil, ("'%s' is not a progress file"):format(path) end
  return { pid = word(text, 1), counter = word(text, 2), phase = PHASES[word(text, 3)] or 'done', step = word(text, 4),
    done = word(text, 5), of = word(text, 6), time_s = word(text, 7) / 1e9, slowest_step_s = word(text, 8) / 1e9,
    slowest_eval_s = word(text, 9) / 1e9, slowest_save_s = word(text, 10) / 1e9, steps = word(text, 11) }
end

return progress_file
