-- runner init DIR: a project of one's own.
local api_docs = require 'reference.docs'
local api_stubs = require 'reference.stubs'
local console = require 'console'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local pretty = require 'pretty'
local project_files = require 'project.files'

local init = { summary = 'Begin a project of your own in a folder.' }

function init.configure(parser)
  parser:argument 'dir':description 'The folder; it is made where it does not exist. Nothing in it is replaced.'
end

function init.run(args)
  local folder = args.dir:gsub('(.)/+$', '%1')
  local info = host.stat(folder)
  if info and info.type ~= 'dir' then fail.usage("init: '%s' exists and is no folder", folder) end
  local contents = project_files.of((host.realpath(folder) or folder):match '[^/]*$', api_stubs.render(api_docs.rows()))
  local names = pretty.sorted_keys(contents)
  for _, name in ipairs(names) do
    local path = ('%s/%s'):format(folder, name)
    if host.stat(path) then fail.usage("init: '%s' exists already; nothing was written", path) end
  end
  for _, name in ipairs(names) do
    local path = ('%s/%s'):format(folder, name)
    local made, message = files.make_folder(path:match '^(.*)/')
    if not made then fail.raise(9, 'init: %s', message) end
    files.write(path, contents[name])
  end
  console.write(('%s is ready: %s\n'):format(folder, table.concat(names, ', ')))
  console.write(('next: cd %s && runner first.lua\n'):format(folder))
  return 0
end

return init
