-- Runs one input of a prompt: shows its values, keeps them, tells what failed.
local chunk = require 'prompt.chunk'
local console = require 'console'
local host = require 'host'
local journal = require 'live.journal'
local problems = require 'prompt.problems'
local sessions = require 'prompt.session'
local show = require 'prompt.show'
local traceback = require 'boot.traceback'

local evaluate = {}

local SLOW_S = 0.1 -- from here on the time is told

local COLOURS = { error = '31', dim = '2' }

---Text in a colour where the terminal has some.
---@param text string
---@param kind "error"|"dim"
---@param fd? integer 2
---@return string
function evaluate.paint(text, kind, fd)
  return console.has_colour(fd or 2) and ('\27[%sm%s\27[0m'):format(COLOURS[kind], text) or text
end

local function duration(seconds)
  return seconds < 10 and ('%.2f s'):format(seconds) or ('%.1f s'):format(seconds)
end

-- At the right margin, as th has it.
local function tell_time(seconds)
  if seconds < SLOW_S then return end
  local text = ('[%s]'):format(duration(seconds))
  console.write((' '):rep(math.max(0, console.columns() - 1 - #text)) .. evaluate.paint(text, 'dim', 1) .. '\n')
end

local function run(prompt, compiled, text)
  local before = journal.act_as { by = prompt.by, who = prompt.who, text = text }
  local function pack(...)
    journal.act_as(before)
    return select('#', ...), { ... }
  end
  return pack(traceback.call(compiled, chunk.pass))
end

local function show_values(prompt, text, count, results)
  if count > 1 then sessions.keep(prompt.globals, results[2]) end
  if text:match ';%s*$' then return true end
  for i = 2, count do
    local ok, shown = traceback.call(show.text, results[i])
    if not ok then
      problems.report(prompt.session, shown, evaluate.paint)
      return false
    end
    console.write(shown .. '\n')
  end
  return true
end

-- Says once of a name that it was local to its line.
local function tell_locals(session)
  for _, name in ipairs(session.asked_locals or {}) do
    if not session.told_locals[name] then
      session.told_locals[name] = true
      console.warn(("'%s' was local, and a local ends with its line; write it without `local` to keep it"):format(name))
    end
  end
  session.asked_locals = nil
end

---Runs an input.
---@param prompt table session, globals, by, who?, environment?, interrupts?, interpreted?, tells_time?
---@param text string
---@return boolean worked
---@return any? problem of traceback.call
function evaluate.run(prompt, text)
  local session = prompt.session
  local first = session:note(text)
  local compiled, message = chunk.compile(text, first, nil, prompt.environment)
  if not compiled then
    problems.syntax(session, message, evaluate.paint)
    return false
  end
  if prompt.interpreted then jit.off(compiled, true) end
  if prompt.interrupts then host.watch_interrupt 'raise' end
  local began = host.now()
  local count, results = run(prompt, compiled, text)
  local seconds = host.now() - began
  if prompt.interrupts then host.watch_interrupt 'flag' end
  local worked, problem = results[1], nil
  if worked then
    worked = show_values(prompt, text, count, results)
  else
    problem = results[2]
    if problem.message == 'interrupted' or problem.message:find '^stdin:%d+: interrupted$' then
      console.warn 'interrupted'
      problem.message = 'interrupted'
    else
      local has_place = problem.message:find 'stdin:%d' or problem.message:find '^[^\n:]+:%d+:'
      if not has_place then problem.message = ('stdin:%d: %s'):format(first, problem.message) end
      problems.report(session, problem, evaluate.paint)
    end
  end
  if prompt.tells_time then tell_time(seconds) end
  tell_locals(session)
  for _, name in ipairs(chunk.locals(text)) do session.locals[name] = true end
  io.stdout:flush()
  return worked, problem
end

return evaluate
