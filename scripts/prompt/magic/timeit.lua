-- %timeit: the time of an expression, as IPython takes it: loops that last 0.2 s or longer, seven runs of them.
local chunk = require 'prompt.chunk'
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local pretty = require 'pretty'
local statistics = require 'statistics'

local magic = { takes = 'x:mm(x)', summary = 'its mean time over many loops' }

local RUNS, LEAST_S = 7, 0.2

local function unit_text(seconds)
  for _, unit in ipairs { { 1, 's' }, { 1e-3, 'ms' }, { 1e-6, 'us' } } do
    if seconds >= unit[1] then return ('%.3g %s'):format(seconds / unit[1], unit[2]) end
  end
  return ('%.3g ns'):format(seconds / 1e-9)
end

local function time_of(f, loops)
  local began = host.now()
  for _ = 1, loops do f(chunk.pass) end
  return host.now() - began
end

function magic.run(prompt, text)
  if text == '' then fail.usage('%timeit: of what? %timeit x:mm(x)') end
  local compiled, message = chunk.compile(text, 1, nil, prompt.environment)
  if not compiled then fail.usage('%s', message) end
  if prompt.interrupts then host.watch_interrupt 'raise' end
  local loops = 1
  while time_of(compiled, loops) < LEAST_S do loops = loops * 10 end
  local times = {}
  for i = 1, RUNS do times[i] = time_of(compiled, loops) / loops end
  if prompt.interrupts then host.watch_interrupt 'flag' end
  console.write(('%s +- %s per loop (mean +- std. dev. of %d runs, %s each)\n'):format(
    unit_text(statistics.mean(times)), unit_text(statistics.sd(times)), RUNS, pretty.plural(loops, 'loop')))
end

return magic
