-- The hard rules of the source tree, checked from the repository root: what may include what, how long a file may be,
-- and that folders and experiments say what they are for.
local t = require 'testing'

local PAGES = 'README.md CONTRIBUTING.md CHANGELOG.md'

local function lines_of(command)
  local found = {}
  local pipe = io.popen(command)
  for line in pipe:lines() do found[#found + 1] = line end
  pipe:close()
  return found
end

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

local function exists(path)
  local file = io.open(path, 'rb')
  if file then file:close() end
  return file ~= nil
end

-- Files below the folders whose name matches the pattern; at least `least` of them, or the test looks at nothing.
local function files(folders, pattern, least)
  local found = {}
  for _, path in ipairs(lines_of('find ' .. folders .. ' -type f | sort')) do
    if path:find(pattern) then found[#found + 1] = path end
  end
  t.is_true(#found >= least, ('only %d files in %s'):format(#found, folders))
  return found
end

local function expect_none(problems)
  t.equal(table.concat(problems, '\n'), '')
end

-- Folder of engine/ -> folders whose headers it may include, beside its own. `train` sees all but `sweep`.
local may_include = {
  base = '', tscore = 'base', kernels = 'base tscore', nn = 'base tscore kernels', optim = 'base tscore kernels nn',
  attach = 'base', data = 'base', device = 'base', run = 'base', study = 'base', sweep = 'base run', dist = 'base',
  train = 'base tscore kernels nn optim data device run dist',
}

t.test('the engine knows nothing of Lua', function()
  local problems = {}
  for _, path in ipairs(files('engine', '%.[ch]c?$', 50)) do
    local text = read(path)
    if text:find('lua_State', 1, true) then problems[#problems + 1] = path .. ' names lua_State' end
    for header in text:gmatch('#%s*include%s*[<"]([^>"]+)[>"]') do
      if header:find('^lua') or header:find('/lua') or header == 'lauxlib.h' then
        problems[#problems + 1] = path .. ' includes ' .. header
      end
    end
  end
  expect_none(problems)
end)

t.test('includes inside the engine go one way', function()
  local problems = {}
  for _, path in ipairs(files('engine', '%.[ch]c?$', 50)) do
    local folder = path:match('^engine/([^/]+)/')
    local allowed = may_include[folder]
    if not allowed then problems[#problems + 1] = path .. ': the folder has no place in the order of layers' end
    for area, rest in read(path):gmatch('#%s*include%s*"([^/"]+)/([^"]*)"') do
      local target = rest:match('^([^/]+)/')
      local below = (' ' .. (allowed or '') .. ' '):find(' ' .. target .. ' ', 1, true)
      local ok = area == 'engine' and (target == folder or below)
      if not ok and area ~= 'absl' then problems[#problems + 1] = ('%s includes %s/%s'):format(path, area, rest) end
    end
  end
  expect_none(problems)
end)

-- The runner itself is built without LibTorch: of the engine it may have what needs none of it, PLAIN_ENGINE and
-- headers alone.
local plain = { ['data/text_options.h'] = true, ['data/domain_options.h'] = true, ['train/fit_options.h'] = true,
  ['data/replay_options.h'] = true, ['optim/select/selection_options.h'] = true,
  ['train/continual/ewc_options.h'] = true, ['train/continual/sleep_options.h'] = true,
  ['train/hybrid/hybrid_options.h'] = true,
  ['base/quiet_thread.h'] = true, ['base/files/socket_address.h'] = true }
for source in read('CMakeLists.txt'):match('set%(PLAIN_ENGINE ([^)]*)%)'):gmatch('engine/([^%s]+)%.cc') do
  plain[source .. '.h'] = true
end

t.test('bindings include the engine and themselves, never tests', function()
  local problems = {}
  for _, path in ipairs(files('bindings', '%.[ch]c?$', 10)) do
    for area, rest in read(path):gmatch('#%s*include%s*"([^/"]+)/([^"]*)"') do
      local for_runner = area == 'bindings' and rest:find('^runner/') or area == 'engine' and plain[rest]
      local runner_reaches_out = path:find('^bindings/runner/') and not for_runner
      if (area ~= 'engine' and area ~= 'bindings' and area ~= 'absl') or runner_reaches_out then
        problems[#problems + 1] = ('%s includes %s/%s'):format(path, area, rest)
      end
    end
  end
  expect_none(problems)
end)

t.test('headers guard with pragma once and take no umbrella of LibTorch', function()
  local problems = {}
  for _, path in ipairs(files('engine bindings tests', '%.h$', 30)) do
    local text = read(path)
    -- Highway's per-target headers are meant to be included once per target.
    local toggles = path:find('%-inl%.h$') and text:find('HWY_TARGET_TOGGLE', 1, true)
    if not toggles and not text:find('#pragma once', 1, true) then
      problems[#problems + 1] = path .. ' has no #pragma once'
    end
    if text:find('#%s*include%s*<torch/torch%.h>') or text:find('#%s*include%s*<ATen/ATen%.h>') then
      problems[#problems + 1] = path .. ' includes all of LibTorch'
    end
  end
  expect_none(problems)
end)

t.test('no source file is longer than 500 lines', function()
  local problems = {}
  local folders = 'engine bindings scripts tests $(ls -d experiments docs 2>/dev/null) CMakeLists.txt'
  for _, path in ipairs(files(folders, '', 100)) do
    local counts = not path:find('^scripts/meta/') and not path:find('^tests/golden/[^/]+%.json$')
      and not path:find('^tests/golden/[^/]+%.txt$')
    local _, lines = read(path):gsub('\n', '')
    if counts and lines > 500 then problems[#problems + 1] = ('%s has %d lines'):format(path, lines) end
  end
  expect_none(problems)
end)

t.test('source files begin with what they are for', function()
  local problems = {}
  for _, path in ipairs(files('engine', '%.h$', 30)) do
    if not read(path):find('^// %S') then problems[#problems + 1] = path .. ' does not begin with a comment' end
  end
  expect_none(problems)
end)

t.test('folders say what goes in them', function()
  local problems = {}
  local folders = { 'bindings', 'bindings/runner', 'scripts', 'tests' }
  for _, path in ipairs(lines_of('find engine scripts -mindepth 1 -maxdepth 1 -type d | sort')) do
    if path ~= 'scripts/meta' then folders[#folders + 1] = path end
  end
  t.is_true(#folders > 12)
  for _, folder in ipairs(folders) do
    if not exists(folder .. '/README.md') then problems[#problems + 1] = folder .. ' has no README.md' end
  end
  expect_none(problems)
end)

t.test('an experiment begins with its name and what it is for', function()
  local problems = {}
  for _, path in ipairs(lines_of('find experiments -name "*.lua" 2>/dev/null | sort')) do
    local name = path:match('([^/]+)%.lua$')
    local first = read(path):match('^[^\n]*')
    if first:sub(1, #name + 5) ~= '-- ' .. name .. ': ' then
      problems[#problems + 1] = path .. ": the first line should be '-- " .. name .. ": ...', it is '" .. first .. "'"
    end
  end
  expect_none(problems)
end)

t.test('nothing looks for files beside the checkout, or at a place of one machine', function()
  local problems = {}
  local folders = 'engine bindings scripts tests experiments .ci CMakeLists.txt ' .. PAGES
  for _, path in ipairs(files(folders, '', 100)) do
    local text = read(path)
    local places = { '../sha' .. 'red', 'sha' .. 'red/data', 'sha' .. 'red/oracle', 'RUNNER_ORACLE' .. '_DIR=' }
    for _, place in ipairs(places) do
      if text:find(place, 1, true) then problems[#problems + 1] = ('%s names %s'):format(path, place) end
    end
  end
  expect_none(problems)
end)

-- Text of the comments of a C++ or Lua source, without what only looks like one inside a string.
local function comments_of(path, text)
  local mark = path:find('%.lua$') and '%-%-' or '//'
  local found = {}
  for line in text:gmatch('[^\n]+') do
    found[#found + 1] = line:match('^%s*' .. mark .. '(.*)') or line:match('[;,){}%w]  ?' .. mark .. ' (.*)')
  end
  return table.concat(found, '\n')
end

t.test('every file and guard that a comment names exists', function()
  -- Highway's own headers, and names in examples of what a user writes.
  local known = {}
  for _, name in ipairs { 'highway.h', 'foreach_target.h', 'hwy/foreach_target.h', 'net.lua', 'script.lua', 'main.lua',
    'first.lua', 'tests/scripts/x_test.lua' } do
    known[name] = true
  end
  for _, path in ipairs(files('engine bindings scripts tests experiments ' .. PAGES, '', 200)) do
    repeat
      known[path] = true
      path = path:match('/(.*)')
    until not path
  end
  local guards = read('engine/train/guards/README.md')
  local problems, named = {}, 0
  for _, path in ipairs(files('engine bindings scripts tests experiments', '%.[chl][cu]?a?$', 200)) do
    if not path:find('^scripts/meta/') then
      local comments = comments_of(path, read(path))
      for guard in comments:gmatch('%f[%w]G%d%d%f[^%w]') do
        named = named + 1
        if not guards:find('| ' .. guard .. ' ', 1, true) then problems[#problems + 1] = path .. ' names ' .. guard end
      end
      for name in comments:gmatch('%f[%w_<][%w_/]+%.%l+%f[^%w]') do
        local source = name:find('%.md$') or name:find('%.cc$') or name:find('%.h$') or name:find('%.lua$')
        if source then
          named = named + 1
          if not known[name] then problems[#problems + 1] = path .. ' names ' .. name end
        end
      end
    end
  end
  t.is_true(named > 100, named .. ' names found')
  expect_none(problems)
end)

t.test('the map in CONTRIBUTING.md names every folder, and no other', function()
  local map = read('CONTRIBUTING.md'):match '| folder | holds |\n(.-)\n\n'
  local problems, named = {}, {}
  for folder in map:gmatch '\n| `([^`]+)`' do named[folder] = true end
  for _, folder in ipairs(lines_of 'ls -d engine/* bindings scripts experiments results tests') do
    local is_folder = exists(folder .. '/README.md')
    if is_folder and not named[folder] then
      problems[#problems + 1] = folder .. ' is not in the map'
    end
  end
  for folder in pairs(named) do
    if not exists(folder .. '/README.md') then
      problems[#problems + 1] = folder .. ' is in the map and has no README.md'
    end
  end
  t.is_true(#lines_of 'ls -d engine/*' > 8)
  expect_none(problems)
end)

t.test("every room of the library is in the library's README", function()
  local text, problems = read 'scripts/README.md', {}
  for _, folder in ipairs(lines_of 'find scripts -mindepth 1 -maxdepth 1 -type d | sort') do
    local name = folder:match '[^/]*$'
    if not text:find(('| `%s/` |'):format(name), 1, true) then
      problems[#problems + 1] = name .. ' is not in scripts/README.md'
    end
  end
  expect_none(problems)
end)
