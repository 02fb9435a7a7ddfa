-- runner init: the project that it writes runs as its README says.
local host = require 'host'
local read_file = require 'base.read_file'
local t = require 'testing'

local RUNNER = host.folder .. '/runner'

local function init(folder) return t.runner('init', folder) end

t.test('the commands of a new project run', function()
  local folder = t.temporary_folder() .. '/mine'
  local output, code = init(folder)
  t.equal(code, 0, output)
  t.contains(output, 'cd ' .. folder .. ' && runner first.lua')
  local bin = t.temporary_folder()
  t.shell(('ln -s %s %s/runner'):format(t.quote(RUNNER), t.quote(bin)))
  local readme, count = assert(read_file(folder .. '/README.md')), 0
  t.matches(readme, '^# mine\n')
  for line in readme:gmatch '\n(runner[^\n]*)' do
    count = count + 1
    local shown, ended = t.shell(('cd %s && export PATH=%s:$PATH && %s < /dev/null 2>&1'):format(t.quote(folder),
      t.quote(bin), line))
    t.equal(ended, 0, ('%s: %s'):format(line, shown))
  end
  t.equal(count, 6)
  t.equal(read_file(folder .. '/types/lanthorn.lua'), read_file 'scripts/meta/lanthorn.lua')
  t.is_true(host.stat(folder .. '/results/first/latest/exit.json') ~= nil)
end)

t.test('nothing is replaced', function()
  local folder = t.temporary_folder()
  t.equal(select(2, init(folder)), 0)
  local output, code = init(folder)
  t.equal(code, 2)
  t.matches(output, "^error: init: '[^']*' exists already; nothing was written\n$")
  output, code = init(t.write_file 'x')
  t.equal(code, 2)
  t.contains(output, 'exists and is no folder')
  t.equal(select(2, t.runner 'init'), 2)
end)
