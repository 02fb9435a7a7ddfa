-- Verifies a run directory, repairs what can be repaired, and removes what its retention does not keep.
local host = require 'host'
local native = require 'lanthorn'
local run_files = require 'runs.files'
local specs = require 'config.specs'

local check = {}

local function folder_bytes(path)
  local bytes = 0
  for _, name in ipairs(host.listdir(path) or {}) do
    local info = host.stat(path .. '/' .. name)
    if info and info.type == 'file' then bytes = bytes + info.size end
  end
  return bytes
end

-- What the run's own config keeps.
local function retention(path)
  local config = run_files.read_json(path .. '/config.json') or {}
  local given = type(config.values) == 'table' and config.values.checkpoint or {}
  return given.keep_last or specs.checkpoint.keep_last[2], given.keep_every or specs.checkpoint.keep_every[2]
end

local function find(checkpoints, name)
  for _, checkpoint in ipairs(checkpoints) do
    if checkpoint.name == name then return checkpoint end
  end
end

-- The best checkpoint by the state of the newest one that verifies.
local function best_of(path, found, newest)
  local state = run_files.read_json(('%s/checkpoints/%s/state.json'):format(path, newest.name)) or {}
  local best = type(state.fit) == 'table' and state.fit.best
  for _, checkpoint in ipairs(found) do
    if best and checkpoint.step == best.step and not checkpoint.problem then return checkpoint.name end
  end
end

local function check_links(path, listed, newest, report, repair)
  for _, link in ipairs { 'latest', 'best' } do
    local target = listed[link]
    local checkpoint = find(listed.checkpoints, target)
    local wrong = target ~= '' and (not checkpoint or checkpoint.problem) or target == '' and link == 'latest'
      and newest ~= nil
    local right = newest and (link == 'latest' and newest.name or best_of(path, listed.checkpoints, newest))
    if wrong and repair and right then
      native.checkpoints.link(path, link, right)
      report.done[#report.done + 1] = ("repaired: '%s' points at %s"):format(link, right)
    elseif wrong and repair and target ~= '' then
      os.remove(('%s/checkpoints/%s'):format(path, link))
      report.done[#report.done + 1] = ("repaired: removed the link '%s', whose checkpoint is lost"):format(link)
    elseif wrong then
      report.problems[#report.problems + 1] = ("the link '%s' %s"):format(link, target == '' and 'is missing'
        or ("points at '%s', which %s"):format(target, checkpoint and 'does not verify' or 'is not there'))
    end
  end
end

-- Checkpoints that are damaged, beside one that is not, and those that the rule does not keep; the highest step first.
local function unwanted(listed, newest)
  local names, superfluous = {}, {}
  for _, name in ipairs(listed.superfluous) do superfluous[name] = true end
  for _, checkpoint in ipairs(listed.checkpoints) do
    if superfluous[checkpoint.name] or checkpoint.problem and newest then names[#names + 1] = checkpoint.name end
  end
  return names
end

local function close_dead(path, report)
  local run = native.run.reopen(path)
  run:finish { state = 'FAILED', code = 1, reason = 'its process was gone; closed by fsck' }
  report.state = 'FAILED'
  report.done[#report.done + 1] = 'repaired: closed as FAILED, since its process is gone'
end

---Verifies one run.
---@param path string its folder
---@param options { repair: boolean?, prune: boolean? }
---@return { state: string, problems: string[], done: string[], newest: string?, wasted: string[],
---wasted_bytes: integer } report
function check.run(path, options)
  local report = { state = run_files.state(path).state, problems = native.run.check(path), done = {}, wasted = {},
    wasted_bytes = 0 }
  if not host.stat(path .. '/manifest.json') then return report end
  local keep_last, keep_every = retention(path)
  local listed = native.checkpoints.list(path, keep_last, keep_every)
  local newest
  for _, checkpoint in ipairs(listed.checkpoints) do
    if checkpoint.problem then
      report.problems[#report.problems + 1] = checkpoint.problem
    else
      newest = newest or checkpoint
    end
  end
  report.newest = newest and newest.name
  local live = native.run.owner(path) ~= nil
  check_links(path, listed, newest, report, options.repair and not live)
  if report.state == 'dead' then
    if options.repair then
      close_dead(path, report)
    else
      report.problems[#report.problems + 1] = 'its process is gone without an exit.json; resume it, or close it with '
        .. '--repair'
    end
  end
  if live then return report end -- what is half written belongs to it
  for _, list in ipairs { listed.leftovers, listed.void, unwanted(listed, newest) } do
    for _, name in ipairs(list) do
      report.wasted[#report.wasted + 1] = name
      report.wasted_bytes = report.wasted_bytes + folder_bytes(('%s/checkpoints/%s'):format(path, name))
    end
  end
  if options.prune and #report.wasted > 0 then
    local removed = native.checkpoints.prune(path, keep_last, keep_every)
    report.done[#report.done + 1] = ('removed: %s'):format(table.concat(removed, ', '))
    report.wasted, report.wasted_bytes = {}, 0
  end
  return report
end

return check
