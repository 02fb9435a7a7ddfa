-- The training's side of `runner attach`: a line of a client is run at a step boundary, with what it prints as the
-- answer. What it changes is written down; a line that only looks leaves no trace in the run.
local chunk = require 'prompt.chunk'
local connection = require 'attach.connection'
local completion = require 'prompt.completion'
local console = require 'console'
local evaluate = require 'prompt.evaluate'
local fail = require 'fail'
local journal = require 'live.journal'
local live_fit = require 'live.fit'
local lua_random = require 'fit.lua_random'
local sessions = require 'prompt.session'
local traceback = require 'boot.traceback'

local answers = {}

local current -- the request whose line runs
local Attached = {} -- methods of a training that runs

local function of_client(method)
  if not current then fail.raise(1, 'fit:%s is for a client of runner attach', method) end
  return current
end

---The training waits at this step boundary until fit:continue(), or until this client leaves.
function Attached.pause()
  local request = of_client 'pause'
  request.training.paused_by = request.client
  request.training.trainer:pause(request.client)
  request.training.run:status { phase = 'paused' }
  console.write(('paused at update %d; fit:continue() goes on, and so does leaving\n'):format(
    request.training.trainer:so_far().steps))
end

local function go_on(training)
  training.paused_by = nil
  training.trainer:pause(0)
  training.run:status { phase = 'train' }
end

---A paused training goes on.
function Attached.continue()
  go_on(of_client('continue').training)
end

---Ends the training at this step boundary: it is evaluated, saved and closed.
---@param reason? string
function Attached.stop(_, reason)
  local request = of_client 'stop'
  local training = request.training
  local why = reason and ': ' .. tostring(reason) or ''
  journal.changed(training, 'stopped' .. why)
  training.left = true
  training.trainer:stop(('stopped by %s through attach%s'):format(request.who, why))
  go_on(training)
end

-- The prompt of one client: its own globals before those of the script.
local function prompt_of(clients, request, training, handle)
  local known = clients[request.client]
  if not known then
    local session = sessions.new()
    local globals = setmetatable({ fit = handle, model = training.o.model, print = console.print }, { __index = _G })
    known = { session = session, globals = globals, environment = globals, by = 'attach', interpreted = true }
    clients[request.client] = known
  end
  known.who = request.who
  return known
end

-- Statements that write into something which exists outside of the client's own globals.
local function writes_field(text)
  return not chunk.compile('return ' .. text, 1) and (text:find '[%w_%]%)]%s*%.%s*[%a_][%w_]*%s*=[^=]' or
    text:find '%]%s*=[^=]') ~= nil
end

local function run_line(prompt, request, training)
  local trainer, noted = training.trainer, training.interventions or 0
  local random, before, others = lua_random.get(), trainer:state_hash(), journal.act_as(nil)
  local printed, called, ran, worked = console.capture(request.columns, trainer.interruptible, trainer, function()
    return evaluate.run(prompt, request.text)
  end)
  if not (called and ran) then -- stopped where the line itself was over or had not begun
    printed, worked = printed .. traceback.message(called and worked or ran) .. '\n', false
  end
  lua_random.set(random)
  local changed = trainer:state_hash() ~= before
  if (training.interventions or 0) == noted and (changed or worked and writes_field(request.text)) then
    journal.act_as { by = 'attach', who = request.who, text = request.text }
    journal.changed(training, changed and 'weights, buffers or state of the optimiser' or 'assigned to a field')
  end
  journal.act_as(others)
  return { text = printed, failed = not worked }
end

local function complete(prompt, request)
  local ok, found, length = pcall(completion.complete, request.text, prompt.session.pending, prompt.globals)
  return { candidates = ok and #found > 0 and found or nil, length = ok and length or 0 }
end

-- What a request gets; see Trainer:listen.
local function answer(training, clients, handle, request)
  if request.kind == 'left' then clients[request.client] = nil end
  if request.kind == 'left' or request.kind == 'unpause' then
    if training.paused_by ~= request.client then return nil end
    go_on(training)
    console.note 'the client that paused the training is gone, or a signal came; it goes on'
    return nil
  end
  request.training = training
  local prompt = prompt_of(clients, request, training, handle)
  current = request
  local ok, reply = pcall(request.kind == 'complete' and complete or run_line, prompt, request, training)
  current = nil
  if not ok then error(reply, 0) end
  return reply
end

---Lets clients in, from here to the end of the training.
---@param training table
function answers.listen(training)
  local clients, handle = {}, live_fit.handle(training, Attached)
  local problem = training.trainer:listen(training.run:path(), connection.SOCKET,
    { run = training.run:path(), pid = require('host').pid() },
    function(request) return answer(training, clients, handle, request) end)
  if problem then training.run:append_log(('runner attach will not work: %s\n'):format(problem)) end
end

return answers
