-- The prompt. On a terminal it edits lines, keeps a history and shows values; fed from a pipe it is a filter that runs
-- chunk after chunk, prints values without a prompt and ends with 1 if any failed.
local chunk = require 'prompt.chunk'
local completion = require 'prompt.completion'
local console = require 'console'
local evaluate = require 'prompt.evaluate'
local host = require 'host'
local problems = require 'prompt.problems'
local prompt_globals = require 'prompt.globals'
local reader = require 'prompt.reader'
local sessions = require 'prompt.session'
local traceback = require 'boot.traceback'
local words = require 'prompt.words'

local loop = {}

-- Runs one input; nil when it asks to leave.
local function act(prompt, text)
  if words.leaves(text) then return nil end
  if words.is(text) then return words.run(prompt, text) end
  local worked, problem = evaluate.run(prompt, text)
  if worked then prompt.session:accept(text) end
  return worked, problem
end

-- At Ctrl-D, where a training would be cut short.
local function really_leave()
  local training = package.loaded.lanthorn and require('fit.training').steered()
  if not training then return true end
  local fit = training.trainer:so_far()
  local answer = host.readline(('a training is open at update %d of %d; save it and leave? [Y/n] '):format(fit.steps,
    training.trainer:planned_steps()))
  return answer == nil or not answer:find '^%s*[nN]'
end

-- The exit code of a training that a signal for the process ended inside of an input; Ctrl-C is an answer to that input
-- alone.
local function ended_by(problem)
  local code = problem and problem.code
  return code and (code > 128 and code ~= 130 or code == 75) and code or nil
end

local function converse(prompt)
  while true do
    local text = reader.read(prompt.session)
    local code = reader.signal_code()
    if code then return code end
    if not text then
      if really_leave() then return 0 end
    elseif text:match('%S') then
      host.add_history(text)
      local worked, problem = act(prompt, text)
      if worked == nil then return 0 end
      code = reader.signal_code() or ended_by(problem)
      if code then return code end
    end
  end
end

local function interactive(prompt)
  local history = reader.load_history()
  host.set_completer(function(text)
    local pending = prompt.session.pending
    return completion.complete(text, pending ~= '' and pending .. '\n' or '')
  end)
  prompt.interrupts, prompt.tells_time = true, true
  console.write(('lanthorn %s: ? for help, Tab completes, exit leaves\n'):format(host.version()))
  host.watch_interrupt('flag')
  local code = converse(prompt)
  host.watch_interrupt('default')
  if history then host.history_save(history) end
  return code
end

-- One input of a pipe, from line `first` on.
local function act_of_pipe(prompt, text, first)
  while #prompt.session.lines < first - 1 do table.insert(prompt.session.lines, '') end
  if not text:match '%S' then return true end
  return act(prompt, text)
end

local function filter(prompt)
  local code, number, first, text = 0, 0, 1, nil
  prompt.interrupts = true
  for line in reader.lines() do
    number = number + 1
    if not text then first = number end
    text = text and text .. '\n' .. line or line
    local complete = words.is(text) or words.leaves(text)
    if not complete then complete = not select(3, chunk.compile(text, first)) end
    if complete then
      local worked, problem = act_of_pipe(prompt, text, first)
      if worked == nil then return code end
      if ended_by(problem) then return ended_by(problem) end
      if not worked then code = 1 end
      text = nil
    end
  end
  if text and not reader.signal_code() then
    local _, message = chunk.compile(text, first)
    problems.syntax(prompt.session, message, evaluate.paint)
    code = 1
  end
  local signalled = reader.signal_code()
  host.watch_interrupt('default')
  return signalled or code
end

---Runs the prompt until the end of its input. Returns the exit code.
---@return integer
function loop.run()
  -- Hooks, by which Ctrl-C stops Lua code, do not fire in compiled loops.
  jit.off()
  jit.flush()
  local session = sessions.new()
  local prompt = { session = session, globals = _G, by = 'prompt' }
  prompt_globals.install(session)
  completion.add_globals(prompt_globals.LAZY)
  local startup = host.getenv('RUNNER_STARTUP')
  if startup then
    local ok, problem = traceback.call(dofile, startup)
    if not ok then traceback.report(problem) end
  end
  if host.isatty(0) then return interactive(prompt) end
  return filter(prompt)
end

return loop
