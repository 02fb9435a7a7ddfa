-- runner ls: run directories with their state; runner ls experiments: the scripts with their first line.
local columns = require 'base.columns'
local console = require 'console'
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local nearest = require 'nearest'
local run_files = require 'runs.files'
local run_summary = require 'runs.summary'
local run_view = require 'runs.view'

local ls = { summary = 'List runs, or experiments.' }

function ls.configure(parser)
  parser:argument 'what':args '?':description '"experiments", or the name of an experiment whose runs are listed.'
  parser:flag '--json':description 'One JSON object per line.'
end

-- The first comment of a script, without its own file name.
local function doc_line(path)
  local file = io.open(path)
  local line = file and file:read('*l') or ''
  if file then file:close() end
  return (line:match('^%-%-+%s*(.*)') or ''):gsub('^%S+%.lua:%s*', '')
end

-- The scripts of a folder, then those of its folders.
local function add_scripts(rows, folder)
  local folders = {}
  for _, file in ipairs(host.listdir(folder) or {}) do
    local path = folder .. '/' .. file
    if file:match('%.lua$') then
      rows[#rows + 1] = { path = path, doc = (doc_line(path)) }
    elseif (host.stat(path) or {}).type == 'dir' then
      folders[#folders + 1] = path
    end
  end
  for _, path in ipairs(folders) do add_scripts(rows, path) end
end

local function experiments()
  local rows, width = {}, 0
  add_scripts(rows, 'experiments')
  for _, row in ipairs(rows) do width = math.max(width, #row.path) end
  return rows, function(row) return columns.pad(row.path, width) .. '  ' .. row.doc end,
    'no experiments/*.lua in this folder'
end

local function runs(experiment)
  local rows, width = {}, 0
  for _, run in ipairs(run_files.list(experiment)) do
    rows[#rows + 1] = run_summary.brief(run)
    width = math.max(width, #run.experiment + #run.id + 1)
  end
  local function line(row) return run_view.line(row, width) end
  return rows, line, ("no runs%s in '%s'"):format(experiment and (" of '%s'"):format(experiment) or '',
    run_files.root())
end

local function check_experiment(name)
  local folder = run_files.root() .. '/' .. name
  if host.stat(folder) then return end
  local names = host.listdir(run_files.root()) or {}
  names[#names + 1] = 'experiments'
  fail.usage("no runs of '%s' in '%s'%s", name, run_files.root(), nearest.hint(name, names))
end

function ls.run(args)
  local rows, line, none
  if args.what == 'experiments' then
    rows, line, none = experiments()
  else
    if args.what then check_experiment(args.what) end
    rows, line, none = runs(args.what)
  end
  for _, row in ipairs(rows) do console.write((args.json and dkjson.encode(row) or line(row)) .. '\n') end
  if #rows == 0 then console.note(none) end
  return 0
end

return ls
