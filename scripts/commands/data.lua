-- runner data ls|fetch|check: the known texts: where they are, bringing them, verifying them.
local console = require 'console'
local corpora = require 'corpus.registry'
local dkjson = require 'dkjson'
local fail = require 'fail'
local pretty = require 'pretty'

local command = { summary = 'List the known texts, bring them, verify them.' }

local DATA, MACHINE_UNFIT = 4, 9
local KEYS = { keyorder = { 'name', 'bytes', 'here', 'ok', 'path', 'wanted', 'origin', 'about', 'sha256',
  'found_sha256', 'versions', 'problem' } }

function command.configure(parser)
  parser:argument 'what':args '?':choices { 'ls', 'fetch', 'check' }:default 'ls':description
    'ls: what there is; fetch: bring what is not here; check: compare checksums.'
  parser:argument 'names':args '*':description 'Corpora; all when none is given.'
  parser:flag '--json':description 'One JSON object for each corpus.'
end

local function words_of(state)
  if state.problem then return state.problem end
  local made = state.versions and (', made from %s: not the pinned text'):format(state.versions) or ''
  return state.here and state.path .. made or 'from ' .. state.origin
end

local function mark_of(state)
  if state.problem then return 'PROBLEM' end
  if state.ok then return 'ok' end
  return state.here and 'here' or 'away'
end

local function show(state, as_json)
  if as_json then
    console.write(dkjson.encode(state, KEYS) .. '\n')
    return
  end
  console.write(('%-8s %-16s %9s  %s\n'):format(mark_of(state), state.name, pretty.count(state.bytes), words_of(state)))
  if not state.problem then console.write(('%36s  %s\n'):format('', state.about)) end
end

local function checked(name)
  local state = corpora.state(name, require('lanthorn').data.sha256)
  if state.here and not state.ok then
    state.problem = ("'%s' has sha256 %s, expected %s"):format(state.path, state.found_sha256, state.sha256)
  end
  return state, state.problem and DATA or 0
end

-- Brings what is not here, and again what is damaged in the cache; a file of RUNNER_DATA_DIR is the user's and stays.
local function fetched(name)
  local state, code = checked(name)
  local ours = state.path and state.path:sub(1, #corpora.cache()) == corpora.cache()
  if state.ok or (state.here and not ours) then return state, code end
  if state.problem then console.note('data: ' .. state.problem .. '; fetching it again') end
  local place, problem
  place, problem, code = require('corpus.fetch').bring(name)
  if place then return checked(name) end
  state.problem = problem
  return state, code
end

-- Named corpora that are away fail the check; without names it is about those that are here.
local function verified(name, named)
  local state, code = checked(name)
  if named and not state.here then
    state.problem, code = ('is missing; fetch it with: runner data fetch %s'):format(name), DATA
  end
  return state, code
end

function command.run(args)
  for _, name in ipairs(args.names) do corpora.check_name(name, fail.usage) end
  local named = #args.names > 0
  local worst, problems = 0, 0
  for _, name in ipairs(named and args.names or corpora.names()) do
    local state, code = corpora.state(name), 0
    if args.what == 'fetch' then state, code = fetched(name) end
    if args.what == 'check' then state, code = verified(name, named) end
    show(state, args.json)
    worst = math.max(worst, code or MACHINE_UNFIT)
    if state.problem then problems = problems + 1 end
  end
  if problems > 0 then console.note(pretty.plural(problems, 'text') .. ' with problems') end
  return worst
end

return command
