-- %time: how long an input takes, once.
local console = require 'console'
local evaluate = require 'prompt.evaluate'
local fail = require 'fail'
local host = require 'host'

local magic = { takes = 'x:mm(x)', summary = 'how long it takes' }

function magic.run(prompt, text)
  if text == '' then fail.usage('%time: of what? %time x:mm(x)') end
  local cpu, wall = os.clock(), host.now()
  local worked, problem = evaluate.run(prompt, text)
  wall, cpu = host.now() - wall, os.clock() - cpu
  if worked then console.write(('wall %.3g ms, CPU %.3g ms (all threads)\n'):format(1e3 * wall, 1e3 * cpu)) end
  return worked, problem
end

return magic
